// A certified OpenID provider on a loopback port of the system's choice, for the tests of keepfresh.
//
// CLIENT_SECRET, USER_PASSWORD and CLIENT_KEY (RSA public key, PKCS#1 DER in base64) come in the environment, TOKEN_SECONDS
// says how long access tokens live. With TLS_DIRECTORY (server.pem, server-key.pem, client.pem) its token endpoint is also
// had by mutual TLS, which the metadata's aliases tell. The first line printed is the issuer. Beside the provider's own
// endpoints:
//   GET  /test/calls   what was asked so far: [{ path, grant, status }]
//   POST /test/approve a refresh token as a person's approval would bring it, for the client of ?client=
//   GET  /test/key     the private key of the client of ?client=, PEM
//   POST /test/revoke  ends every access token, the refresh tokens stay

import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import { jwtVerify } from 'jose';
import { errors, Provider } from 'oidc-provider';

const { CLIENT_SECRET, USER_PASSWORD, CLIENT_KEY, TOKEN_SECONDS, TLS_DIRECTORY } = process.env;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const SCOPE = 'openid offline_access';
const clientKey = createPublicKey({ key: Buffer.from(CLIENT_KEY, 'base64'), format: 'der', type: 'pkcs1' });

const calls = [];
const http = createServer(record);
http.listen(0, '127.0.0.1');
await once(http, 'listening');
const issuer = `http://127.0.0.1:${http.address().port}`;

const tls = TLS_DIRECTORY && createTlsServer({
  cert: readFileSync(`${TLS_DIRECTORY}/server.pem`),
  key: readFileSync(`${TLS_DIRECTORY}/server-key.pem`),
  requestCert: true,
  rejectUnauthorized: false,
}, record);
if (tls) await once(tls.listen(0, '127.0.0.1'), 'listening');

// Keys of clients that sign: the algorithm that the client must use, and the form in which its owner gets the key.
const keys = {
  es256: { alg: 'ES256', type: 'sec1', pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }) },
  es384: { alg: 'ES384', type: 'pkcs8', pair: generateKeyPairSync('ec', { namedCurve: 'P-384' }) },
  eddsa: { alg: 'EdDSA', type: 'pkcs8', pair: generateKeyPairSync('ed25519') },
  ps256: { alg: 'PS256', type: 'pkcs1', pair: generateKeyPairSync('rsa', { modulusLength: 2048 }) },
};
const signing = Object.entries(keys).map(([id, { alg, pair }]) => client(id, 'private_key_jwt', ['client_credentials'], {
  token_endpoint_auth_signing_alg: alg,
  jwks: { keys: [{ ...pair.publicKey.export({ format: 'jwk' }), use: 'sig', alg, kid: id }] },
}));

const certified = () => {
  const certificate = new X509Certificate(readFileSync(`${TLS_DIRECTORY}/client.pem`));
  const key = { ...certificate.publicKey.export({ format: 'jwk' }), x5c: [certificate.raw.toString('base64')] };
  return client('tls', 'self_signed_tls_client_auth', ['client_credentials'], { jwks: { keys: [key] } });
};

const secret = { client_secret: CLIENT_SECRET };
const provider = new Provider(issuer, {
  clients: [
    client('basic', 'client_secret_basic', ['client_credentials', 'password', 'refresh_token'], secret),
    client('post', 'client_secret_post', ['client_credentials', 'password', 'refresh_token'], secret),
    client('signed', 'private_key_jwt', ['client_credentials'], {
      jwks: { keys: [{ ...clientKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
    }),
    client('browser', 'none', ['authorization_code', 'refresh_token'], {
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'],
      response_types: ['code'],
    }),
    client('device', 'none', ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'], {
      application_type: 'native',
    }),
    client('bearer', 'client_secret_post', [JWT_BEARER], secret),
    client('public', 'none', ['refresh_token']),
    client('exchange', 'client_secret_post', [TOKEN_EXCHANGE], secret),
    ...signing,
    ...(tls ? [certified()] : []),
  ],
  clientAuthMethods: [
    'none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt', 'self_signed_tls_client_auth',
  ],
  discovery: tls ? { mtls_endpoint_aliases: { token_endpoint: `https://127.0.0.1:${tls.address().port}/token` } } : {},
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'] },
  // A token that has ended is dead at once, not a quarter of a minute later.
  clockTolerance: 0,
  features: {
    clientCredentials: { enabled: true },
    // Pages on which any name and any password log in.
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    mTLS: {
      enabled: true,
      selfSignedTlsClientAuth: true,
      getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => undefined,
      getResourceServerInfo: (ctx, resource) => ({
        scope: 'read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: Number(TOKEN_SECONDS),
      }),
    },
    revocation: { enabled: true },
    userinfo: { enabled: true },
  },
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId, preferred_username: accountId }) }),
  claims: { openid: ['sub'], profile: ['preferred_username'] },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: Number(TOKEN_SECONDS),
    ClientCredentials: Number(TOKEN_SECONDS),
    Grant: 3600,
    RefreshToken: 3600,
  },
});

async function approve(oidcClient, accountId) {
  const grant = new provider.Grant({ accountId, clientId: oidcClient.clientId });
  grant.addOIDCScope(SCOPE);
  const grantId = await grant.save();
  const shared = { accountId, client: oidcClient, grantId, scope: SCOPE };
  const accessToken = new provider.AccessToken({ ...shared, gty: 'approval' });
  const refreshToken = new provider.RefreshToken({ ...shared, gty: 'approval' });
  return { accessToken, refreshToken };
}

async function answer(ctx, accountId, withRefreshToken) {
  const { accessToken, refreshToken } = await approve(ctx.oidc.client, accountId);
  ctx.body = {
    access_token: await accessToken.save(),
    expires_in: accessToken.expiration,
    token_type: accessToken.tokenType,
    scope: SCOPE,
    ...(withRefreshToken && { refresh_token: await refreshToken.save() }),
  };
}

provider.registerGrantType('password', async (ctx) => {
  const { username, password } = ctx.oidc.params;
  if (password !== USER_PASSWORD) throw new errors.InvalidGrant('wrong user name or password');
  await answer(ctx, username, true);
}, ['username', 'password', 'scope']);

provider.registerGrantType(JWT_BEARER, async (ctx) => {
  try {
    const { payload } = await jwtVerify(ctx.oidc.params.assertion, clientKey, {
      algorithms: ['RS256'], audience: issuer, issuer: ctx.oidc.client.clientId, requiredClaims: ['exp', 'sub'],
    });
    await answer(ctx, payload.sub, false);
  } catch (error) {
    throw new errors.InvalidGrant(error.message);
  }
}, ['assertion', 'scope']);

provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
  const { subject_token, subject_token_type, audience } = ctx.oidc.params;
  const subject = await provider.ClientCredentials.find(subject_token);
  if (!subject || subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidGrant('no token to exchange');
  if (audience !== 'warehouse') throw new errors.InvalidTarget('no such audience');
  await answer(ctx, subject.clientId, false);
  ctx.body.issued_token_type = ACCESS_TOKEN;
}, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope']);

async function control(path, query) {
  if (path === '/test/calls') return calls;
  if (path === '/test/approve') {
    const { refreshToken } = await approve(await provider.Client.find(query.get('client')), 'somebody');
    return { refresh_token: await refreshToken.save() };
  }
  if (path === '/test/revoke') {
    for (const token of issued) await token.destroy();
    return { revoked: issued.splice(0).length };
  }
  if (path === '/test/key') {
    const { pair, type } = keys[query.get('client')];
    return { key: pair.privateKey.export({ format: 'pem', type }) };
  }
  return null;
}

const issued = [];
for (const model of [provider.AccessToken, provider.ClientCredentials]) {
  const { save } = model.prototype;
  model.prototype.save = function remember(...args) {
    issued.push(this);
    return save.apply(this, args);
  };
}

async function record(request, response) {
  const { pathname, searchParams } = new URL(request.url, issuer);
  if (pathname.startsWith('/test/')) {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(await control(pathname, searchParams)));
    return;
  }
  const call = { path: pathname };
  calls.push(call);
  request.call = call;
  response.on('finish', () => { call.status = response.statusCode; });
  provider.callback()(request, response);
}

provider.on('grant.success', (ctx) => { ctx.req.call.grant = ctx.oidc.params.grant_type; });
provider.on('server_error', (ctx, error) => console.error(error));
console.log(issuer);
function client(client_id, token_endpoint_auth_method, grant_types, more = {}) {
  return { client_id, token_endpoint_auth_method, grant_types, redirect_uris: [], response_types: [], ...more };
}

// Ends with the test that started it.
process.stdin.on('end', () => process.exit(0)).resume();
