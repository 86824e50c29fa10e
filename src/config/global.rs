//! The whole config: the global tables of the main file, and the sessions of all files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;
use url::Url;

use super::daemon;
use super::document::Document;
use super::hooks;
use super::http::{self, GlobalHttp};
use super::places::Taken;
use super::pool::Pool;
use super::report::{At, Place, Report, Source};
use super::session::{self, Placed};
use super::surroundings::Surroundings;
use super::table::Table;
use super::{
    Config, DaemonConfig, Need, Needed, Written, clashes, keys, metrics, value, zone_named,
};
use crate::provider::{HttpSettings, Profile};
use crate::schedule::Calendar;
use crate::session::policy::Policy;
use crate::users::Subordinates;

/// What sessions need to know of the rest.
pub(super) struct Context<'c> {
    pub(super) surroundings: &'c Surroundings,
    pub(super) daemon: &'c DaemonConfig,
    pub(super) http: &'c GlobalHttp,
    pub(super) needs: &'c Needs<'c>,
    /// The profiles that sessions have named so far.
    pub(super) profiles: RefCell<BTreeMap<String, Arc<Profile>>>,
    /// What sessions have in common is held once.
    pub(super) words: Pool<str>,
    pub(super) urls: Pool<Url>,
    pub(super) policies: Pool<Policy>,
    pub(super) https: Pool<HttpSettings>,
    pub(super) no_duties: Arc<Calendar>,
}

impl Context<'_> {
    /// The time zone of the calendars. It takes a hundred kilobytes, so only a config with a calendar reads it.
    pub(super) fn zone(&self) -> TimeZone {
        zone_named(self.daemon.timezone.as_deref()).unwrap_or(TimeZone::UTC)
    }
}

/// Collects what `check` must try.
pub(super) struct Needs<'c> {
    sources: &'c [Source],
    list: RefCell<Vec<Need>>,
}

impl Needs<'_> {
    /// Where `place` is.
    pub(super) fn written(&self, place: &Place, words: &Pool<str>) -> Written {
        let (file, (line, column)) = match self.sources.get(place.document) {
            Some(source) => (
                source.path.display().to_string(),
                source.line_and_column(place),
            ),
            None => (String::new(), (1, 1)),
        };
        Written {
            file: words.share(Arc::from(file)),
            line,
            column,
        }
    }

    /// The config names `what` at `place`.
    pub(super) fn add(&self, key: String, place: &Place, what: Needed) {
        let Some(source) = self.sources.get(place.document) else {
            return;
        };
        let (line, column) = source.line_and_column(place);
        self.list.borrow_mut().push(Need {
            key,
            file: source.path.clone(),
            line,
            column,
            what,
        });
    }
}

/// Reads everything; when `report` has errors afterwards, the config is good for nothing.
pub(super) fn read(
    file: &Path,
    sources: &[Source],
    documents: &[Document<'_>],
    report: &Report,
    surroundings: &Surroundings,
) -> Config {
    let needs = Needs {
        sources,
        list: RefCell::default(),
    };
    let tables: Vec<Table<'_>> = documents
        .iter()
        .map(|document| root(document, sources, report))
        .collect();
    only_known(&tables);
    let main = tables.first();
    let daemon = daemon::daemon(file, main, report, surroundings, &needs);
    let socket = daemon::socket(main, &daemon.runtime_dir, report);
    let metrics = metrics::read(main, &daemon.runtime_dir);
    let (http, per_host_rate) = http::global(main, &needs, surroundings);
    let alerts = hooks::alerts(main, &http, &needs);
    let context = Context {
        surroundings,
        daemon: &daemon,
        http: &http,
        no_duties: Arc::new(Calendar::empty(TimeZone::UTC)),
        needs: &needs,
        profiles: RefCell::default(),
        words: Pool::default(),
        urls: Pool::default(),
        policies: Pool::default(),
        https: Pool::default(),
    };
    let placed = sessions(&tables, &context, sources);
    clashes::report(&placed, &socket.path, report, sources);
    // What a file lacks that cannot be read is not known.
    if let Some(main) = main {
        let (metrics, listed) = (metrics.as_ref(), needs.list.borrow());
        Taken {
            main,
            daemon: &daemon,
            socket: &socket,
            metrics,
            sources,
            needs: &listed,
        }
        .report(&placed, report);
    }
    if placed.is_empty() && tables.iter().all(|table| !table.has("sessions")) {
        report.warn("no sessions are configured: there is nothing to keep alive");
    }
    let configs = placed.into_iter().filter_map(|placed| placed.config);
    let sessions = configs
        .map(|config| (config.name.clone(), Arc::new(config)))
        .collect();
    Config {
        file: file.to_owned(),
        daemon,
        socket,
        metrics,
        alerts,
        per_host_rate,
        sessions,
        subordinates: Subordinates::read(),
        needs: needs.list.into_inner(),
        files: Vec::new(),
        warnings: Vec::new(),
        written_by: None,
    }
}

fn root<'d>(document: &'d Document<'d>, sources: &[Source], report: &'d Report) -> Table<'d> {
    let path = sources
        .get(document.index)
        .map(|source| source.path.as_path());
    Table::root(
        report,
        document,
        path.and_then(Path::parent).unwrap_or(Path::new("/")),
    )
}

/// The main file may hold everything, a fragment only sessions.
fn only_known(tables: &[Table<'_>]) {
    for (index, table) in tables.iter().enumerate() {
        let elsewhere: Vec<At<&str>> = table
            .keys()
            .into_iter()
            .filter(|key| index > 0 && keys::knows(keys::ROOT, key.value))
            .collect();
        for key in elsewhere
            .iter()
            .filter(|key| !keys::FRAGMENT.contains(&key.value))
        {
            let title = format!("`{}` does not belong in a fragment", key.value);
            table.report.problem(
                &key.place,
                title,
                "write it in the main file; conf.d/*.toml may only add sessions",
            );
        }
        table.only(keys::ROOT);
    }
}

/// Every session of every file; one of a name that an earlier file has is an error.
fn sessions(tables: &[Table<'_>], context: &Context<'_>, sources: &[Source]) -> Vec<Placed> {
    let mut reading = Reading {
        context,
        sources,
        first_places: BTreeMap::new(),
        read: Vec::new(),
    };
    for table in tables {
        reading.all_of(table);
    }
    reading.read
}

/// The sessions that were read so far.
struct Reading<'c> {
    context: &'c Context<'c>,
    sources: &'c [Source],
    first_places: BTreeMap<String, Place>,
    read: Vec<Placed>,
}

impl Reading<'_> {
    fn all_of(&mut self, root: &Table<'_>) {
        let Some(sessions) = root.table("sessions") else {
            return;
        };
        for name in sessions.keys() {
            if let Err(bad) = value::session_name(name.value) {
                let title = format!("`{}` {}", sessions.name(name.value), bad.what);
                sessions.report.problem(&name.place, title, bad.remedy);
            }
            if let Some(first) = self.first_places.get(name.value) {
                redefined(&sessions, &name, first, self.sources);
                continue;
            }
            self.first_places
                .insert(name.value.to_owned(), name.place.clone());
            let table = sessions.table(name.value);
            self.read
                .extend(table.map(|table| session::read(name.value, &table, self.context)));
        }
    }
}

fn redefined(sessions: &Table<'_>, name: &At<&str>, first: &Place, sources: &[Source]) {
    let title = format!("`{}` is defined twice", sessions.name(name.value));
    let help = match sources.get(first.document) {
        Some(source) => {
            format!(
                "a fragment may add sessions, not redefine them: it is at {} already",
                source.told(first)
            )
        }
        None => "give it another name".to_owned(),
    };
    sessions.report.problem(&name.place, title, help);
}
