//! What the org answers to each request (docs/servers.md).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::assertion::{self, Expected};
use super::lookalike::Lookalike;
use super::org::{Org, Session};
use super::refusal::Refusal;
use super::reply::{Call, Kind, Reply};
use crate::time::Now;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Retired with Summer '25 (docs/servers.md, "Versions and introspection").
const RETIRED: std::ops::RangeInclusive<u32> = 21..=30;
const SERVED: std::ops::RangeInclusive<u32> = 31..=67;

impl Org {
    /// Carries the request out.
    pub(super) fn answer(&mut self, call: &Call, now: &Now) -> Reply {
        match call.kind {
            Kind::Login | Kind::Renew if call.method != "POST" => Refusal::UnsupportedGrant.reply(),
            Kind::Login | Kind::Renew => self.token(call, now).unwrap_or_else(Refusal::reply),
            Kind::Introspect => self.introspect(call, now).unwrap_or_else(Refusal::reply),
            Kind::Revoke => self.revocation(call, now),
            Kind::Userinfo => self.userinfo(call, now),
            Kind::Versions => versions(),
            Kind::Ping | Kind::Api => self.data(call, now),
            Kind::Other => Reply::html(404, "File not found"),
        }
    }

    fn token(&mut self, call: &Call, now: &Now) -> Result<Reply, Refusal> {
        let forced = if call.kind == Kind::Renew {
            self.settings.refresh_refusal
        } else {
            self.settings.login_refusal
        };
        if let Some(refusal) = forced {
            return Err(refusal);
        }
        match call.field("grant_type") {
            JWT_BEARER => {
                let username = self.asserted(call, now)?;
                self.log_in(&username, now)
            }
            "client_credentials" => {
                self.check_client(call, true)?;
                let run_as = self.credentials.username.clone();
                self.log_in(&run_as, now)
            }
            "password" => {
                self.check_client(call, true)?;
                let username = call.field("username");
                self.check_password(username, call.field("password"), now.boot)?;
                self.log_in(username, now)
            }
            "refresh_token" => {
                self.check_client(call, false)?;
                let (session, next) = self.refresh(call.field("refresh_token"), now.boot)?;
                Ok(self.granted(&session, next.as_deref(), now))
            }
            _ => Err(Refusal::UnsupportedGrant),
        }
    }

    fn log_in(&mut self, username: &str, now: &Now) -> Result<Reply, Refusal> {
        let session = self.login(username, now.boot)?;
        Ok(self.granted(&session, None, now))
    }

    fn asserted(&self, call: &Call, now: &Now) -> Result<String, Refusal> {
        let mut audiences = self.settings.audiences.clone();
        audiences.push(self.url.clone());
        let expected = Expected {
            client_id: &self.credentials.client_id,
            public_key: &self.credentials.public_key,
            audiences: &audiences,
            now: self.wall_millis(now).div_euclid(1000),
        };
        let username = assertion::subject(call.field("assertion"), &expected)?;
        if self.is_user(&username) {
            Ok(username)
        } else {
            Err(Refusal::NotApproved)
        }
    }

    /// A refresh may leave the secret out, as an app can be set to allow; a wrong one is refused all the same.
    fn check_client(&self, call: &Call, secret_required: bool) -> Result<(), Refusal> {
        let (id, secret) = call.client();
        if id != self.credentials.client_id {
            return Err(Refusal::UnknownClient);
        }
        let waived = secret.is_empty() && !secret_required;
        if waived || secret == self.credentials.client_secret {
            Ok(())
        } else {
            Err(Refusal::WrongClientSecret)
        }
    }

    /// The success of every grant: `issued_at` in milliseconds as a string, and no `expires_in` (docs/servers.md, "The session's timeout").
    fn granted(&self, session: &Session, refresh_token: Option<&str>, now: &Now) -> Reply {
        let id = self.identity(&session.username);
        let issued_at = self.wall_millis(now).to_string();
        let mut body = json!({
            "access_token": session.token,
            "instance_url": self.settings.instance_url.as_ref().unwrap_or(&self.url),
            "id": id,
            "token_type": "Bearer",
            "issued_at": issued_at,
            "signature": self.signature(&format!("{id}{issued_at}")),
            "scope": self.settings.scope,
        });
        if let (Some(body), Some(token)) = (body.as_object_mut(), refresh_token) {
            body.insert("refresh_token".to_owned(), token.into());
        }
        Reply::json(200, &body).with(
            "cache-control",
            "no-cache,must-revalidate,max-age=0,no-store,private",
        )
    }

    fn identity(&self, username: &str) -> String {
        let user: String = self.credentials.derive(username).chars().take(12).collect();
        format!(
            "{}/id/{}/005{user}",
            self.url, self.credentials.organization
        )
    }

    fn signature(&self, text: &str) -> String {
        let key = aws_lc_rs::hmac::Key::new(
            aws_lc_rs::hmac::HMAC_SHA256,
            self.credentials.client_secret.as_bytes(),
        );
        BASE64_STANDARD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()))
    }

    fn introspect(&mut self, call: &Call, now: &Now) -> Result<Reply, Refusal> {
        self.check_client(call, true)?;
        let token = call.field("token");
        if self.settings.introspection_is_activity {
            self.use_token(token, true, now.boot);
        }
        let seen = self
            .settings
            .introspection_privilege
            .then(|| self.introspected(token, now))
            .flatten();
        Ok(Reply::json(
            200,
            &seen.unwrap_or_else(|| json!({ "active": false })),
        ))
    }

    fn introspected(&self, token: &str, now: &Now) -> Option<Value> {
        let (client_id, scope) = (&self.credentials.client_id, &self.settings.scope);
        if self.knows_refresh_token(token) {
            let kind = "refresh_token";
            return Some(
                json!({ "active": true, "scope": scope, "client_id": client_id, "token_type": kind }),
            );
        }
        let session = self.find(token, now.boot)?;
        let seconds = |moment| (self.wall_millis(now) + millis_from(now, moment)).div_euclid(1000);
        let end = if self.settings.introspection_exp_moves {
            session.end(&self.settings)
        } else {
            session.created.after(self.settings.idle_timeout)
        };
        Some(json!({
            "active": true,
            "scope": scope,
            "client_id": client_id,
            "username": session.username,
            "sub": self.identity(&session.username),
            "token_type": "access_token",
            "exp": seconds(end),
            "iat": seconds(session.created),
            "nbf": seconds(session.created),
        }))
    }

    fn revocation(&mut self, call: &Call, now: &Now) -> Reply {
        if self.revoke(call.field("token"), now.boot) {
            return Reply::new(200, "text/html;charset=UTF-8", "");
        }
        let body = "error=invalid_token&error_description=token+is+not+valid";
        Reply::new(400, "application/x-www-form-urlencoded", body)
    }

    fn userinfo(&mut self, call: &Call, now: &Now) -> Reply {
        let Bearer::Token(token) = bearer(call) else {
            return Reply::new(403, "text/plain", "Missing_OAuth_Token");
        };
        if !self.use_token(token, self.settings.userinfo_is_activity, now.boot) {
            return Reply::new(403, "text/plain", "Bad_OAuth_Token");
        }
        let username = self
            .find(token, now.boot)
            .map(|session| session.username.clone())
            .unwrap_or_default();
        let body = json!({
            "sub": self.identity(&username),
            "preferred_username": username,
            "organization_id": self.credentials.organization,
        });
        Reply::json(200, &body)
    }

    fn data(&mut self, call: &Call, now: &Now) -> Reply {
        let path = call
            .path
            .trim_start_matches("/services/data/")
            .trim_end_matches('/');
        let (version, resource) = path.split_once('/').unwrap_or((path, ""));
        if let Some(reply) = unserved(version) {
            return reply;
        }
        match bearer(call) {
            Bearer::Malformed => return documented("invalid_auth_header"),
            Bearer::Token(token) if self.use_token(token, true, now.boot) => {}
            Bearer::Token(_) | Bearer::Absent => return documented("dead"),
        }
        let (used, allowed) = self.count_request();
        let limit = self.settings.api_requests;
        let reply = if allowed {
            self.resource(version, resource, used)
        } else {
            documented("request_limit")
        };
        reply.with("sforce-limit-info", format!("api-usage={used}/{limit}"))
    }

    fn resource(&self, version: &str, resource: &str, used: u64) -> Reply {
        let base = format!("/services/data/{version}");
        let limit = self.settings.api_requests;
        match resource {
            "" => Reply::json(
                200,
                &json!({
                    "identity": self.identity(&self.credentials.username),
                    "limits": format!("{base}/limits"),
                    "query": format!("{base}/query"),
                    "sobjects": format!("{base}/sobjects"),
                }),
            ),
            "limits" => Reply::json(
                200,
                &json!({ "DailyApiRequests": { "Max": limit, "Remaining": limit.saturating_sub(used) } }),
            ),
            "query" => Reply::json(200, &json!({ "totalSize": 0, "done": true, "records": [] })),
            _ => documented("not_found"),
        }
    }
}

enum Bearer<'a> {
    Token(&'a str),
    Malformed,
    Absent,
}

/// Salesforce takes `OAuth` for `Bearer` too.
fn bearer(call: &Call) -> Bearer<'_> {
    let Some(header) = call.authorization.as_deref() else {
        return Bearer::Absent;
    };
    match header.split_once(' ') {
        Some((scheme, token)) if ["bearer", "oauth"].contains(&scheme.to_lowercase().as_str()) => {
            Bearer::Token(token.trim())
        }
        Some(_) | None => Bearer::Malformed,
    }
}

fn unserved(version: &str) -> Option<Reply> {
    let number = version
        .strip_prefix('v')
        .and_then(|rest| rest.strip_suffix(".0"))
        .and_then(|text| text.parse().ok());
    match number {
        Some(number) if SERVED.contains(&number) => None,
        Some(number) if RETIRED.contains(&number) => Some(documented("retired")),
        Some(_) | None => Some(documented("not_found")),
    }
}

fn versions() -> Reply {
    let one = |number: u32| {
        let version = format!("{number}.0");
        json!({ "label": format!("API {number}"), "url": format!("/services/data/v{version}"), "version": version })
    };
    Reply::json(200, &SERVED.map(one).collect())
}

fn documented(name: &str) -> Reply {
    Lookalike::named(name).map_or_else(|| Refusal::ServerError.reply(), Lookalike::reply)
}

/// Milliseconds from now to `moment`, negative when it is past.
fn millis_from(now: &Now, moment: crate::time::Instant) -> i64 {
    moment.as_millis().saturating_sub(now.boot.as_millis())
}
