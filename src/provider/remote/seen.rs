//! An answer that another program got with the session's token, judged as if keepfresh had asked.

use jiff::Timestamp;
use url::Url;

use super::{LONGEST_BODY, Remote};
use crate::provider::classify::{Asked, Sign, sign};
use crate::provider::response::{Response, inflated};
use crate::session::answer::Request;
use crate::token::Token;

/// What came back, as far as it was looked at.
pub struct SeenAnswer<'a> {
    /// What was asked for.
    pub url: &'a Url,
    /// The status.
    pub status: u16,
    /// Every header line.
    pub headers: Vec<(String, String)>,
    /// The body, or its beginning.
    pub body: &'a [u8],
    /// Whether that is all of the body.
    pub whole: bool,
    /// Our wall clock when it came.
    pub at: Timestamp,
}

impl Remote {
    /// Says what an answer tells of `token`, which its request presented.
    pub fn judge(&self, token: &Token, seen: &SeenAnswer<'_>) -> Sign {
        let coding = seen
            .headers
            .iter()
            .find(|(name, _)| name == "content-encoding");
        let plain = coding.and_then(|(_, coding)| inflated(seen.body, coding, LONGEST_BODY));
        let body = plain.as_ref().map_or(seen.body, |plain| plain.as_slice());
        let response = Response::new(seen.status, seen.headers.clone(), body, seen.whole)
            .answered_by(seen.url);
        let asked = Asked::of(&self.config, Request::Ping, None, Some(token), seen.at);
        sign(&asked, &response)
    }
}
