//! A server's no under a good status, by whatever name it says so: some APIs answer 200 to everything.

use serde_json::Value;

use crate::provider::capture::{is_idle, scalar};
use crate::provider::response::Response;

/// Servers wrap what they say: `{"Response":{"Error":{"Code":…}}}`.
const DEEPEST: usize = 3;

/// Names of members that are there for errors alone, without case, `_` and the like.
const OF_ERRORS: [&str; 20] = [
    "err",
    "errcode",
    "errmsg",
    "errno",
    "error",
    "errorcode",
    "errordescription",
    "errordetails",
    "errorid",
    "errormessage",
    "errormessages",
    "errormsg",
    "errornumber",
    "errors",
    "errorsummary",
    "errortext",
    "errortype",
    "exception",
    "fault",
    "faultstring",
];

/// Names of members that say whether it was done.
const OF_SUCCESS: [&str; 8] = [
    "authenticated",
    "isauthenticated",
    "issuccess",
    "issuccessful",
    "ok",
    "succeeded",
    "success",
    "successful",
];

/// Names of members that hold a word or a number for how it went.
const OF_OUTCOMES: [&str; 13] = [
    "code",
    "message",
    "msg",
    "outcome",
    "resultcode",
    "result",
    "ret",
    "retcode",
    "returncode",
    "state",
    "status",
    "statuscode",
    "type",
];

/// Words for a no, alone in such a member.
const FAILED: [&str; 20] = [
    "denied",
    "err",
    "error",
    "fail",
    "failed",
    "failure",
    "false",
    "forbidden",
    "invalid",
    "ko",
    "nok",
    "notok",
    "refused",
    "rejected",
    "unauthenticated",
    "unauthorised",
    "unauthorized",
    "accessdenied",
    "loginfailed",
    "unsuccessful",
];

/// What is in the members of errors where there is none.
const NO_ERROR: [&str; 9] = [
    "0", "00", "0000", "200", "false", "none", "ok", "success", "noerror",
];

/// Parts of sentences that ask for patience: the server did not decide.
const NOT_NOW: [&str; 18] = [
    "again later",
    "busy",
    "in a few",
    "in a moment",
    "internal",
    "maintenance",
    "overload",
    "rate limit",
    "server error",
    "system error",
    "temporar",
    "throttl",
    "timed out",
    "timeout",
    "too frequent",
    "too many",
    "try later",
    "unavailable",
];

/// Parts of sentences about what a login presents. A server that counts wrong passwords must have looked at one to say them.
const OF_CREDENTIALS: [&str; 17] = [
    "account is locked",
    "account locked",
    "account_locked",
    "accountlocked",
    "authentication fail",
    "authenticationfail",
    "bad login",
    "credential",
    "denied",
    "invalid login",
    "invalid_grant",
    "invalidlogin",
    "locked out",
    "login fail",
    "passwd",
    "password",
    "unauthori",
];

/// Parts of sentences about a server that could not look at what was presented.
const NOT_LOOKED_AT: [&str; 5] = [
    "maintenance",
    "overload",
    "timed out",
    "timeout",
    "unavailable",
];

/// Whether the text, which is no page for people, is about what a login presented, and not about a server that is away.
pub(super) fn speaks_of_credentials(response: &Response) -> bool {
    let text = response.text.to_lowercase();
    let has_any = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    !response.is_html() && has_any(&OF_CREDENTIALS) && !has_any(&NOT_LOOKED_AT)
}

/// Whether the body says that what was asked for is not given, and nothing of a better time to ask.
pub(super) fn says_no(response: &Response) -> bool {
    let mut said = Said::default();
    if let Some(json) = &response.json {
        said.read(json, 0);
    }
    said.no && !said.not_now
}

#[derive(Default)]
struct Said {
    no: bool,
    not_now: bool,
}

impl Said {
    fn read(&mut self, value: &Value, depth: usize) {
        match value {
            Value::Object(members) if depth < DEEPEST => {
                for (key, value) in members {
                    self.member(&plain(key), value);
                    self.read(value, depth + 1);
                }
            }
            Value::Array(elements) if depth < DEEPEST => {
                for it in elements {
                    self.read(it, depth + 1);
                }
            }
            Value::String(text) => {
                let text = text.to_lowercase();
                self.not_now |= NOT_NOW.iter().any(|part| text.contains(part));
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {}
        }
    }

    fn member(&mut self, name: &str, value: &Value) {
        let word = scalar(value).map(|text| plain(&text));
        let word = word.as_deref();
        let is = |names: &[&str]| names.contains(&name);
        if is(&OF_ERRORS) {
            self.no |= !is_idle(value) && word.is_none_or(|word| !NO_ERROR.contains(&word));
        }
        if is(&OF_SUCCESS) {
            self.no |= word.is_some_and(|word| matches!(word, "false" | "0" | "no"));
        }
        if is(&OF_OUTCOMES) {
            self.no |= word.is_some_and(|word| FAILED.contains(&word));
        }
        if is(&OF_OUTCOMES) || is(&OF_ERRORS) {
            self.number(value);
        }
    }

    /// Many number their errors as HTTP does. What other numbers mean, 1 for one, each server has for itself.
    fn number(&mut self, value: &Value) {
        let Some(number) = scalar(value).and_then(|text| text.trim().parse::<i64>().ok()) else {
            return;
        };
        self.no |= (400..500).contains(&number);
        self.not_now |= matches!(number, 408 | 425 | 429 | 500..=599);
    }
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|char| char.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}
