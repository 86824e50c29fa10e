//! Where a secret comes from: a file, a systemd credential, the environment, or a command's output.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::blotted::Blotted;
use crate::program::{self, Inherits, Program, ProgramError};
use crate::secret::Secret;
use crate::strangers::{self, Finding, Trusted};
use crate::users::{Kind, name_of};

/// A secret as the config names it; the config never holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// `{ file = "path" }`: refused when others can read it, unless `insecure_mode`.
    File {
        /// An absolute path.
        path: PathBuf,
        /// Accept a file that others can read, as containers need.
        insecure_mode: bool,
    },
    /// `{ credential = "name" }`: below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ command = ["pass", "show", "crm"] }`: what it prints, less the line breaks around it.
    Command(Vec<String>),
}

/// No key or password is longer.
const LARGEST: usize = 64 * 1024;

/// No file takes longer to read, unless its disk hangs.
const LONGEST_READ: Duration = Duration::from_secs(10);

/// Why a secret could not be read; names the place and the remedy, never the value.
#[derive(Debug)]
pub enum SecretError {
    /// The disk does not answer.
    Hangs(String),
    /// There is no such file.
    Missing(PathBuf),
    /// The daemon's user may not read the file.
    Denied(PathBuf),
    /// The file cannot be read for another reason.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Out of descriptors, memory or processes: no fault of the secret's, and over as soon as some are freed.
    Exhausted(String, io::Error),
    /// A directory, a device or a pipe.
    NotAFile(PathBuf),
    /// Any user of this machine could read or replace it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A stranger could put another secret in its place.
    WithinReach {
        /// The file.
        path: PathBuf,
        /// Who could, and where.
        finding: Box<Finding>,
    },
    /// More than 64 KiB.
    TooLong(String),
    /// Nothing, or only a newline.
    Empty(String),
    /// A character that no password, key or token has, and that no request could carry.
    Nul(String),
    /// A password with notes below it, say: the whole of it would be sent as the password.
    SeveralLines(String, String),
    /// Bytes that are no text.
    NotText(String),
    /// The daemon was not started by systemd with credentials.
    NoCredentials(String),
    /// systemd gave the daemon other credentials, and not this one.
    NoCredential(String),
    /// The variable is not there.
    NoVariable(String),
    /// The command could not be started, took too long, or failed.
    Command {
        /// Its first word.
        program: String,
        /// What happened, with the last line of its standard error.
        reason: Blotted,
        /// What to do about it.
        remedy: String,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem(), self.remedy())
    }
}

impl std::error::Error for SecretError {}

impl SecretError {
    /// What is wrong, as it fits behind "cannot".
    pub fn problem(&self) -> String {
        match self {
            Self::Hangs(what) => format!("read {what}: its disk does not answer"),
            Self::Missing(path) => {
                format!("read the secret file {}: it does not exist", path.display())
            }
            Self::Denied(path) => format!(
                "read the secret file {}: its mode and owner, or those of a directory above it, keep the user {} out",
                path.display(),
                Reader::of_secrets().name
            ),
            Self::Unreadable { path, error } => {
                format!("read the secret file {}: {error}", path.display())
            }
            Self::Exhausted(what, error) => {
                format!("use {what}: the machine has run out of a resource: {error}")
            }
            Self::NotAFile(path) => format!(
                "read the secret file {}: it is not a regular file",
                path.display()
            ),
            Self::Exposed { path, mode } => format!(
                "trust the secret file {}: its mode is {mode:04o}, so that every user can read or change it",
                path.display()
            ),
            Self::WithinReach { path, finding } => format!(
                "trust the secret file {}: it {finding}, and so the daemon could be given another secret",
                path.display()
            ),
            Self::TooLong(what) => {
                format!("use {what}: it holds more than 64 KiB, which no secret does")
            }
            Self::Empty(what) => format!("use {what}: it is empty"),
            Self::Nul(what) => format!("use {what}: it holds a NUL character"),
            Self::SeveralLines(what, name) => {
                format!("use {what}: it has several lines, but {name} is one line")
            }
            Self::NotText(what) => format!("use {what}: it is not UTF-8 text"),
            Self::NoCredentials(name) => {
                format!("find the credential {name}: $CREDENTIALS_DIRECTORY is not set")
            }
            Self::NoCredential(name) => {
                format!("find the credential {name}: systemd gave the service none of this name")
            }
            Self::NoVariable(name) => {
                format!("find the environment variable {name}: it is not set")
            }
            Self::Command {
                program, reason, ..
            } => format!("get a secret from the command {program}: {reason}"),
        }
    }

    /// What to do about it, with what to type where one command does it.
    pub fn remedy(&self) -> String {
        const NO_CHOICE: &str = "or set insecure_mode = true where the platform leaves no choice";
        match self {
            Self::Hangs(_) => "see that it is mounted and well".to_owned(),
            Self::Missing(path) => {
                let Reader { sudo, owner, .. } = Reader::of_secrets();
                format!(
                    "create it: run `{sudo}install -D -m 600 {owner}/dev/stdin {}`, paste the secret, press Enter and Ctrl-D",
                    path.display()
                )
            }
            Self::Denied(path) => {
                let Reader { name, sudo, .. } = Reader::of_secrets();
                let path = path.display();
                format!(
                    "run `{sudo}chown {name} {path}`, or see by `namei -l {path}` which directory keeps {name} out"
                )
            }
            Self::Unreadable { .. } => "see that its disk is in order".to_owned(),
            Self::Exhausted(..) => "raise LimitNOFILE= or LimitNPROC= if it lasts".to_owned(),
            Self::NotAFile(_) => "name the file that holds the secret".to_owned(),
            Self::Exposed { path, .. } => {
                format!("run `chmod o= {}`, {NO_CHOICE}", path.display())
            }
            Self::WithinReach { finding, .. } => format!("{}, {NO_CHOICE}", finding.remedy()),
            Self::TooLong(_) => "check that it is the right one".to_owned(),
            Self::Empty(_) => "put the secret there".to_owned(),
            Self::Nul(_) => "store the secret as UTF-8 text".to_owned(),
            Self::SeveralLines(..) => "keep only that line there, or print only that line, \
                 [\"sh\", \"-c\", \"pass show crm | head -n 1\"] say"
                .to_owned(),
            Self::NotText(_) => "store the secret as text, a key as PEM".to_owned(),
            Self::NoCredentials(name) => format!(
                "start keepfresh as a systemd service with LoadCredential={name}:PATH (`keepfresh check --drop-in` writes that line)"
            ),
            Self::NoCredential(name) => format!(
                "run `systemctl edit keepfresh`, write LoadCredential={name}:PATH below [Service], then `systemctl restart keepfresh`"
            ),
            Self::NoVariable(_) => {
                "set it where keepfresh is started (for a unit: EnvironmentFile=, by `systemctl edit keepfresh`), and restart keepfresh"
                    .to_owned()
            }
            Self::Command { remedy, .. } => remedy.clone(),
        }
    }
}

/// The user who is to read secrets, as commands name him.
struct Reader {
    name: String,
    /// Who is logged in acts for a service's user by it.
    sudo: &'static str,
    /// The option of `install` that makes him the owner.
    owner: String,
}

/// The first user that is a person's (`UID_MIN` of login.defs(5)); those below it are root and services.
const FIRST_PERSON: u32 = 1000;

impl Reader {
    fn of_secrets() -> Self {
        let user = strangers::reader();
        let name = name_of(Kind::User, user).unwrap_or_else(|| user.to_string());
        if user < FIRST_PERSON {
            Self {
                sudo: "sudo ",
                owner: format!("-o {name} "),
                name,
            }
        } else {
            Self {
                sudo: "",
                owner: String::new(),
                name,
            }
        }
    }

    /// `program`, run by him, as it is written in a shell.
    fn runs(&self, program: &str) -> String {
        match self.sudo {
            "" => format!("`{program} …`"),
            _ => format!("`sudo -u {} {program} …`", self.name),
        }
    }
}

/// A password manager that needs longer waits for a person, and there is none.
const LONGEST_COMMAND: Duration = Duration::from_secs(10);

/// What the command prints, at most one byte more than a secret may have.
async fn printed(argv: &[String]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let name = argv.first().map_or("", String::as_str);
    let failed = |reason: Blotted, remedy: String| SecretError::Command {
        program: name.to_owned(),
        reason,
        remedy,
    };
    let by_hand = || {
        format!(
            "run it by hand as the daemon's user ({}), and correct what it says",
            Reader::of_secrets().runs(name)
        )
    };
    let program = Program {
        argv,
        inherits: Inherits::All,
        env: &[],
        directory: None,
        limit: LONGEST_COMMAND,
        largest: LARGEST,
    };
    let outcome = program::run(&program).await.map_err(|error| match error {
        ProgramError::NotStarted(error) if is_exhausted(&error) => {
            SecretError::Exhausted(SecretSource::Command(argv.to_vec()).describe(), error)
        }
        ProgramError::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => failed(
            "there is no such program where the daemon looks".into(),
            format!("install {name}, or name it by its whole path"),
        ),
        ProgramError::WithinReach(reach) => {
            let (file, finding) = (reach.file.display(), &reach.finding);
            failed(
                Blotted::new(&format!("{file} {finding}, and so is not run"), &[]),
                finding.remedy(),
            )
        }
        ProgramError::TookTooLong(_) => failed(
            Blotted::new(&error.to_string(), &[]),
            format!("see what it waits for, a passphrase say: {}", by_hand()),
        ),
        ProgramError::NotStarted(_) | ProgramError::Broken(_) => {
            failed(Blotted::new(&error.to_string(), &[]), by_hand())
        }
    })?;
    if outcome.status.success() || outcome.printed.len() > LARGEST {
        return Ok(outcome.printed);
    }
    Err(failed(outcome.complaint(), by_hand()))
}

impl SecretError {
    /// Whether another try may succeed by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Exhausted(..))
    }
}

impl SecretSource {
    /// Reads the secret anew.
    ///
    /// # Errors
    /// Says which source failed and what to do.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::File {
                path,
                insecure_mode,
            } => {
                let (path, insecure_mode) = (path.clone(), *insecure_mode);
                unhurried(move || read_file(&path, insecure_mode), &self.describe()).await
            }
            Self::Credential(name) => {
                let name = name.clone();
                unhurried(move || read_credential(&name), &self.describe()).await
            }
            Self::Env(name) => {
                let value =
                    std::env::var_os(name).ok_or_else(|| SecretError::NoVariable(name.clone()))?;
                checked(
                    &Zeroizing::new(value.into_encoded_bytes()),
                    &self.describe(),
                )
            }
            Self::Command(argv) => checked(&printed(argv).await?, &self.describe()),
        }
    }

    /// As [`SecretSource::read`], of the login parameter `name`: what people type is one line.
    ///
    /// # Errors
    /// Those of [`SecretSource::read`], and where a password or its like has several lines.
    pub async fn read_parameter(&self, name: &str) -> Result<Secret, SecretError> {
        let secret = self.read().await?;
        if is_typed(name) && secret.expose().contains(['\n', '\r']) {
            return Err(SecretError::SeveralLines(self.describe(), name.to_owned()));
        }
        Ok(secret)
    }

    /// Whether `read` can only succeed inside the service: a credential, when systemd has given this process none.
    pub fn only_in_service(&self) -> bool {
        match self {
            Self::Credential(_) => std::env::var_os("CREDENTIALS_DIRECTORY").is_none(),
            Self::File { .. } | Self::Env(_) | Self::Command(_) => false,
        }
    }

    /// Names the source for a person: `the file /etc/…`, `the credential crm-key`.
    pub fn describe(&self) -> String {
        match self {
            Self::File { path, .. } => format!("the file {}", path.display()),
            Self::Credential(name) => format!("the credential {name}"),
            Self::Env(name) => format!("the environment variable {name}"),
            Self::Command(argv) => {
                format!("the output of {}", argv.first().map_or("", String::as_str))
            }
        }
    }
}

/// Whether a parameter of this name is something that people type, and no key, certificate or document.
fn is_typed(name: &str) -> bool {
    let words = [
        "password",
        "passwd",
        "pwd",
        "passcode",
        "passphrase",
        "client_secret",
        "security_token",
        "refresh_token",
    ];
    words.iter().any(|word| name.contains(word))
}

/// Reads on a thread that may block, for as long as a command may take: a file may lie on a disk that hangs.
async fn unhurried(
    read: impl FnOnce() -> Result<Secret, SecretError> + Send + 'static,
    what: &str,
) -> Result<Secret, SecretError> {
    let reading = tokio::task::spawn_blocking(read);
    match tokio::time::timeout(LONGEST_READ, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) | Err(_) => Err(SecretError::Hangs(what.to_owned())),
    }
}

fn read_credential(name: &str) -> Result<Secret, SecretError> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| SecretError::NoCredentials(name.to_owned()))?;
    // systemd lets only the service into the directory, whatever the modes of the files in it.
    let read = read_file(&Path::new(&directory).join(name), true);
    read.map_err(|error| {
        if matches!(error, SecretError::Missing(_)) {
            SecretError::NoCredential(name.to_owned())
        } else {
            error
        }
    })
}

fn read_file(path: &Path, insecure_mode: bool) -> Result<Secret, SecretError> {
    let unreadable = |error| {
        if is_exhausted(&error) {
            return SecretError::Exhausted(format!("the file {}", path.display()), error);
        }
        let path = path.to_owned();
        if error.kind() == io::ErrorKind::NotFound {
            SecretError::Missing(path)
        } else if error.kind() == io::ErrorKind::PermissionDenied {
            SecretError::Denied(path)
        } else {
            SecretError::Unreadable { path, error }
        }
    };
    let file = open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    if metadata.mode() & 0o006 != 0 && !insecure_mode {
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode: metadata.mode() & 0o7777,
        });
    }
    if let Some(finding) =
        strangers::refusal(path, &Trusted::of_this_process()).filter(|_| !insecure_mode)
    {
        return Err(SecretError::WithinReach {
            path: path.to_owned(),
            finding: Box::new(finding),
        });
    }
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    // Room for all of it and one byte more, so that nothing is copied while it is read.
    let room = usize::try_from(metadata.len().saturating_add(1).min(limit)).unwrap_or(LARGEST);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    checked(&bytes, &format!("the file {}", path.display()))
}

/// Whether it is for want of something that others have taken for now.
fn is_exhausted(error: &io::Error) -> bool {
    let passing = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::AGAIN];
    Errno::from_io_error(error).is_some_and(|error| passing.contains(&error))
}

/// Opens without waiting: a pipe in the place of the file must not stop the daemon.
fn open(path: &Path) -> io::Result<File> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
}

/// The invisible mark (U+FEFF) that some editors put before text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The secret without the line breaks around it and without a byte order mark.
fn checked(bytes: &Zeroizing<Vec<u8>>, source: &str) -> Result<Secret, SecretError> {
    if bytes.len() > LARGEST {
        return Err(SecretError::TooLong(source.to_owned()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| SecretError::NotText(source.to_owned()))?;
    let text = text
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(text)
        .trim_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err(SecretError::Empty(source.to_owned()));
    }
    if text.contains('\0') {
        return Err(SecretError::Nul(source.to_owned()));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_file_gives_its_text_without_the_line_breaks_around_it() {
        for (bytes, secret) in [
            ("s3cret\n", "s3cret"),
            ("s3cret", "s3cret"),
            ("a\n\n", "a"),
            ("a\r\n", "a"),
            ("a\r\n\r\n", "a"),
            ("\u{feff}a\n", "a"),
            ("\na\nb\n", "a\nb"),
            (" a \n", " a "),
        ] {
            let read = file_of(bytes.as_bytes(), 0o640).read().await.unwrap();
            assert_eq!(read.expose(), secret);
        }
    }

    #[tokio::test]
    async fn a_file_that_holds_no_secret_is_refused() {
        for (bytes, part) in [
            (vec![], "empty"),
            (b" \n".to_vec(), "empty"),
            (vec![0xff], "UTF-8"),
            (vec![b'a', 0], "NUL"),
            (vec![b'a'; 70_000], "64 KiB"),
        ] {
            let error = file_of(&bytes, 0o600).read().await.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_others_can_read_is_refused_unless_told_otherwise() {
        let source = file_of(b"s3cret", 0o644);
        let error = source.read().await.unwrap_err().to_string();
        assert!(
            error.contains("0644") && error.contains("chmod o="),
            "{error}"
        );
        let SecretSource::File { path, .. } = source.0 else {
            panic!("a file")
        };
        let told = SecretSource::File {
            path,
            insecure_mode: true,
        };
        assert_eq!(told.read().await.unwrap().expose(), "s3cret");
    }

    #[tokio::test]
    async fn what_is_not_a_regular_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        for path in [
            pipe,
            directory.path().to_owned(),
            directory.path().join("absent"),
        ] {
            assert!(
                SecretSource::File {
                    path,
                    insecure_mode: false
                }
                .read()
                .await
                .is_err()
            );
        }
    }

    #[tokio::test]
    async fn a_command_gives_what_it_prints() {
        assert_eq!(
            command(&["printf", "s3cret\\n"])
                .read()
                .await
                .unwrap()
                .expose(),
            "s3cret"
        );
    }

    #[tokio::test]
    async fn a_command_that_fails_says_why_in_its_own_words() {
        let error = command(&["sh", "-c", "echo first >&2; echo gpg: no key >&2; exit 3"])
            .read()
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no key") && text.contains('3') && !text.contains("first"),
            "{text}"
        );
        assert!(command(&["/no/such/program"]).read().await.is_err());
        assert!(
            command(&["true"])
                .read()
                .await
                .unwrap_err()
                .to_string()
                .contains("empty")
        );
    }

    #[tokio::test]
    async fn a_command_that_prints_without_end_is_stopped() {
        let error = command(&["yes"]).read().await.unwrap_err().to_string();
        assert!(error.contains("64 KiB"), "{error}");
    }

    #[test]
    fn what_others_have_taken_for_now_passes_and_what_is_wrong_with_a_secret_does_not() {
        for (errno, passing) in [
            (Errno::MFILE, true),
            (Errno::NOMEM, true),
            (Errno::NOENT, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(is_exhausted(&errno.into()), passing, "{errno}");
        }
    }

    #[tokio::test]
    async fn a_password_with_notes_below_it_is_refused_and_not_sent_whole() {
        let noted = command(&["printf", "s3cret\\nuser: integration\\n"]);
        let error = noted
            .read_parameter("password")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("several lines") && error.contains("head -n 1"),
            "{error}"
        );
        assert!(
            !error.contains("s3cret") && !error.contains("integration"),
            "{error}"
        );
        assert!(noted.read_parameter("private_key").await.is_ok());
    }

    #[tokio::test]
    async fn what_a_command_leaves_in_the_background_is_not_waited_for() {
        let source = command(&["sh", "-c", "echo s3cret; sleep 9 & exit 0"]);
        let read = tokio::time::timeout(Duration::from_secs(6), source.read()).await;
        assert_eq!(read.expect("it has ended").unwrap().expose(), "s3cret");
    }

    #[tokio::test]
    async fn a_command_that_is_given_up_takes_what_it_started_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let noted = directory.path().join("pid");
        let script = format!(
            "sleep 300 & echo $! > {0}.new; mv {0}.new {0}; wait",
            noted.display()
        );
        let source = command(&["sh", "-c", &script]);
        let given_up = async {
            while !noted.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            read = source.read() => panic!("{read:?}"),
            () = given_up => {}
        }
        let pid = fs::read_to_string(&noted).unwrap();
        let status = format!("/proc/{}/status", pid.trim());
        for _ in 0..1000 {
            // Its new parent may be slow to take it off the table.
            if fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("process {pid} still runs");
    }

    #[tokio::test]
    async fn a_secret_that_a_command_repeats_on_its_standard_error_is_not_repeated() {
        let error = command(&["sh", "-c", "echo s3cret; echo bad s3cret >&2; exit 1"])
            .read()
            .await
            .unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    struct Kept(
        SecretSource,
        #[expect(dead_code, reason = "keeps the directory while the test runs")] tempfile::TempDir,
    );

    impl std::ops::Deref for Kept {
        type Target = SecretSource;
        fn deref(&self) -> &SecretSource {
            &self.0
        }
    }

    fn file_of(bytes: &[u8], mode: u32) -> Kept {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let mut file = File::create(&path).unwrap();
        file.write_all(bytes).unwrap();
        file.set_permissions(fs::Permissions::from_mode(mode))
            .unwrap();
        Kept(
            SecretSource::File {
                path,
                insecure_mode: false,
            },
            directory,
        )
    }

    fn command(argv: &[&str]) -> SecretSource {
        SecretSource::Command(argv.iter().map(|word| (*word).to_owned()).collect())
    }
}
