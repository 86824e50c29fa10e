//! Answers that a session's keeper must tell apart: the signs of a dead session, and all that only look like them.

use serde_json::json;

use super::reply::{Kind, Reply};

/// A documented answer, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lookalike {
    /// The name that the control takes.
    pub name: &'static str,
    /// The requests that get it, unless the control says otherwise.
    pub to: Kind,
    status: u16,
    body: Body,
    header: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Code and message, in an array as the REST API does.
    Rest(&'static str, &'static str),
    /// JSON, XML or plain text under its content type.
    Text(&'static str, &'static str),
    /// A page with this title.
    Page(&'static str),
    Empty,
}

use Body::{Empty, Page, Rest, Text};

const JSON: &str = "application/json;charset=UTF-8";
const EXPIRED_PASSWORD: &str = "The users password has expired, you must call SetPassword before attempting any other API operations";
const BULK_FAULT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <error xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\"><exceptionCode>InvalidSessionId</exceptionCode>\
    <exceptionMessage>Invalid session id</exceptionMessage></error>";
const SOAP_FAULT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
    <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:sf=\"urn:fault.partner.soap.sforce.com\">\
    <soapenv:Body><soapenv:Fault><faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>INVALID_SESSION_ID: Invalid \
    Session ID found in SessionHeader: Illegal Session</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>";

/// All of them; the first eight are true signs of death.
pub(super) const ALL: &[Lookalike] = &[
    ping(
        "dead",
        401,
        Rest("INVALID_SESSION_ID", "Session expired or invalid"),
    ),
    ping(
        "dead_object",
        401,
        Text(
            JSON,
            r#"{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}"#,
        ),
    ),
    ping("dead_bulk_xml", 400, Text("application/xml", BULK_FAULT)),
    ping(
        "dead_bulk_json",
        400,
        Text(
            JSON,
            r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"Invalid session id"}"#,
        ),
    ),
    ping("dead_soap", 500, Text("text/xml", SOAP_FAULT)),
    to(
        Kind::Userinfo,
        "dead_userinfo",
        403,
        Text("text/plain", "Bad_OAuth_Token"),
    ),
    to(
        Kind::Userinfo,
        "missing_token",
        403,
        Text("text/plain", "Missing_OAuth_Token"),
    ),
    to(
        Kind::Introspect,
        "inactive",
        200,
        Text(JSON, r#"{"active":false}"#),
    ),
    ping(
        "not_for_rest",
        401,
        Rest(
            "INVALID_SESSION_ID",
            "This session is not valid for use with the REST API",
        ),
    ),
    ping(
        "agent_not_attached",
        401,
        Rest(
            "INVALID_SESSION_ID",
            "Connected app is not attached to Agent",
        ),
    ),
    ping(
        "expired_password",
        401,
        Rest("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", EXPIRED_PASSWORD),
    ),
    ping(
        "invalid_auth_header",
        401,
        Rest("INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE"),
    ),
    ping(
        "request_limit",
        403,
        Rest("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    ),
    ping(
        "concurrent_limit",
        403,
        Rest(
            "REQUEST_LIMIT_EXCEEDED",
            "ConcurrentPerOrgLongTxn Limit exceeded.",
        ),
    ),
    ping(
        "api_disabled",
        403,
        Rest(
            "API_CURRENTLY_DISABLED",
            "API is currently disabled for this user",
        ),
    ),
    ping(
        "api_disabled_for_org",
        403,
        Rest(
            "API_DISABLED_FOR_ORG",
            "API is not enabled for this organization",
        ),
    ),
    ping(
        "insufficient_access",
        403,
        Rest("INSUFFICIENT_ACCESS", "insufficient access rights"),
    ),
    ping(
        "client_not_accessible",
        403,
        Rest(
            "CLIENT_NOT_ACCESSIBLE_FOR_USER",
            "the app is not for this user",
        ),
    ),
    ping(
        "txn_security_no_access",
        403,
        Rest(
            "TXN_SECURITY_NO_ACCESS",
            "a security policy forbids the operation",
        ),
    ),
    ping(
        "txn_security_metering",
        403,
        Rest(
            "TXN_SECURITY_METERING_ERROR",
            "a security policy took too long",
        ),
    ),
    ping(
        "txn_security_end_session",
        401,
        Rest(
            "TXN_SECURITY_END_A_SESSION",
            "a security policy ended a session",
        ),
    ),
    ping(
        "not_found",
        404,
        Rest("NOT_FOUND", "The requested resource does not exist"),
    ),
    ping("not_acceptable", 406, Empty),
    ping(
        "retired",
        410,
        Rest("UNSUPPORTED_API_VERSION", "This API version is retired"),
    ),
    ping(
        "invalid_version",
        400,
        Rest("InvalidVersion", "This API version is retired"),
    ),
    ping("setting_up", 420, Page("We are setting things up")),
    ping(
        "too_many",
        429,
        Rest("REQUEST_LIMIT_EXCEEDED", "Too many requests"),
    )
    .with("retry-after", "1"),
    ping(
        "unknown_exception",
        500,
        Rest("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
    ),
    ping("bad_gateway", 502, Page("Bad gateway")),
    ping(
        "unavailable",
        503,
        Rest("SERVER_UNAVAILABLE", "server too busy"),
    ),
    ping("gateway_timeout", 504, Page("Gateway time-out")),
    ping(
        "maintenance",
        503,
        Rest("ORG_IN_MAINTENANCE", "the organization is being maintained"),
    ),
    ping(
        "read_only",
        503,
        Rest(
            "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
            "read-only for maintenance",
        ),
    ),
    ping(
        "row_lock",
        400,
        Rest(
            "UNABLE_TO_LOCK_ROW",
            "unable to obtain exclusive access to this record",
        ),
    ),
    ping("html", 200, Page("Login")),
    ping("html_unauthorized", 401, Page("Login")),
    ping("redirect", 302, Page("Moved")).with("location", "/login"),
];

const fn to(to: Kind, name: &'static str, status: u16, body: Body) -> Lookalike {
    Lookalike {
        name,
        to,
        status,
        body,
        header: None,
    }
}

const fn ping(name: &'static str, status: u16, body: Body) -> Lookalike {
    to(Kind::Ping, name, status, body)
}

impl Lookalike {
    /// The answer of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        ALL.iter().find(|lookalike| lookalike.name == name).copied()
    }

    const fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The answer, byte for byte.
    pub(super) fn reply(self) -> Reply {
        let reply = match self.body {
            Rest(code, message) => Reply::json(
                self.status,
                &json!([{ "message": message, "errorCode": code }]),
            ),
            Text(content_type, text) => Reply::new(self.status, content_type, text),
            Page(title) => Reply::html(self.status, title),
            Empty => Reply {
                status: self.status,
                headers: [].into(),
                body: String::new(),
            },
        };
        match self.header {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_found_and_none_twice() {
        let names: BTreeSet<_> = ALL.iter().map(|lookalike| lookalike.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(
            ALL.iter()
                .all(|lookalike| Lookalike::named(lookalike.name) == Some(*lookalike))
        );
    }

    #[test]
    fn the_rest_form_is_an_array() {
        let reply = Lookalike::named("dead").unwrap().reply();
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.body,
            r#"[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]"#
        );
    }
}
