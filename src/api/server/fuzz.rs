//! A request's query and body, for `crate::fuzz`.

use axum::body::Bytes;
use axum::http::Uri;

use super::parameters::{BeginBody, Query, RedirectedBody, RejectedBody, UsedBody, parse};
use crate::api::duration;

/// What could be a token: no problem may repeat it.
const TOKEN: &str = "00Dhunter2hunter2";

/// A path with its query in the first line, a body after it.
pub(crate) fn fuzz(data: &[u8]) {
    let line = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (path, body) = data.split_at(line);
    if let Ok(uri) = Uri::try_from(path) {
        let mut query = Query::of(&uri);
        let _ = (
            query.take_duration("wait"),
            query.take_number("id"),
            query.take_all("session"),
            query.end(),
        );
    }
    let body = Bytes::copy_from_slice(body);
    let problems = [
        parse::<UsedBody>(&body).err(),
        parse::<RejectedBody>(&body)
            .and_then(RejectedBody::which)
            .err(),
        parse::<BeginBody>(&body).err(),
        parse::<RedirectedBody>(&body).err(),
    ];
    for problem in problems.into_iter().flatten() {
        assert!(!problem.detail.contains(TOKEN), "{}", problem.detail);
    }
    if let Ok(duration) = duration::parse(&String::from_utf8_lossy(path)) {
        let again = duration::parse(&duration::format(duration)).map(|again| again.as_millis());
        assert_eq!(again.ok(), Some(duration.as_millis()));
    }
}
