//! Where the requests of OAuth 2.0 go, by the `endpoints` table of a profile.

use toml::Spanned;

use super::names::Names;
use super::{Checked, wrong};
use crate::provider::discovery::Endpoint;
use crate::provider::profile::content::Endpoints;
use crate::provider::profile::raw::RawEndpoints;

/// Without an issuer that would tell it, the token endpoint must be there.
pub(super) fn endpoints(raw: &Spanned<RawEndpoints>, names: &Names) -> Checked<Endpoints> {
    let (span, raw) = (raw.span(), raw.get_ref());
    if raw.token.is_none() && raw.issuer.is_none() {
        return Err(wrong(
            &span,
            "endpoints: give `token`, or an `issuer` that tells where it is".to_owned(),
        ));
    }
    if let Some(metadata) = raw.metadata.as_ref().filter(|_| raw.issuer.is_none()) {
        return Err(wrong(
            &metadata.span(),
            "endpoints.metadata: it needs an `issuer` that they must name".to_owned(),
        ));
    }
    let given = [
        (Endpoint::Token, "token", &raw.token),
        (Endpoint::Introspection, "introspection", &raw.introspection),
        (Endpoint::Revocation, "revocation", &raw.revocation),
        (Endpoint::Userinfo, "userinfo", &raw.userinfo),
        (Endpoint::Authorization, "authorization", &raw.authorization),
        (
            Endpoint::DeviceAuthorization,
            "device_authorization",
            &raw.device_authorization,
        ),
    ];
    let given = given
        .into_iter()
        .filter_map(|(kind, name, text)| Some((kind, name, text.as_ref()?)));
    let known = given
        .map(|(kind, name, text)| Ok((kind, names.template(&format!("endpoints.{name}"), text)?)));
    let issuer = raw
        .issuer
        .as_ref()
        .map(|issuer| names.template("endpoints.issuer", issuer))
        .transpose()?;
    let metadata = raw
        .metadata
        .as_ref()
        .map(|place| names.template("endpoints.metadata", place))
        .transpose()?;
    Ok(Endpoints {
        issuer,
        metadata,
        known: known.collect::<Checked<_>>()?,
    })
}
