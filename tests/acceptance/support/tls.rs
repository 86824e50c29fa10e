//! Servers that speak TLS, with certificates that `openssl` makes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// Answers every request with 404 and a clock that is behind, and keeps what it was asked.
pub(crate) struct TlsServer {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// With a certificate that signs itself.
    pub(crate) fn start(how: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let subject = if how.contains("-subj") {
            ""
        } else {
            "-subj /CN=server"
        };
        openssl(
            directory.path(),
            &format!(
                "req -x509 -newkey rsa:2048 -nodes {subject} {how} -keyout key.pem -out cert.pem"
            ),
        );
        Self::serving(directory)
    }

    /// With one that signs itself for 127.0.0.1, between two moments such as `20150101000000Z`.
    pub(crate) fn dated(from: &str, to: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let issuing = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
                       default_md = sha256\npolicy = names\nx509_extensions = extensions\n[names]\ncommonName = supplied\n\
                       [extensions]\nsubjectAltName = IP:127.0.0.1\n";
        for (name, text) in [("ca.conf", issuing), ("index", ""), ("serial", "01")] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        openssl(
            directory.path(),
            "req -new -newkey rsa:2048 -nodes -subj /CN=server -keyout key.pem -out request.pem",
        );
        openssl(
            directory.path(),
            &format!(
                "ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -in request.pem -startdate {from} \
                 -enddate {to} -out cert.pem"
            ),
        );
        Self::serving(directory)
    }

    /// With a certificate for 127.0.0.1 that an authority of its own has signed.
    pub(crate) fn of_an_authority() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for how in [
            "req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=authority -keyout authority.key -out authority.pem",
            "req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=server -addext subjectAltName=IP:127.0.0.1 \
             -addext basicConstraints=critical,CA:FALSE -CA authority.pem -CAkey authority.key -keyout key.pem -out cert.pem",
        ] {
            openssl(directory.path(), how);
        }
        Self::serving(directory)
    }

    /// With a certificate that signs itself, and a demand for the client's, which it signs as well.
    pub(crate) fn demanding_a_certificate(how: &str) -> Self {
        let Self { directory, .. } = Self::start(how);
        Self::serving_those(directory, true)
    }

    fn serving(directory: tempfile::TempDir) -> Self {
        Self::serving_those(directory, false)
    }

    fn serving_those(directory: tempfile::TempDir, with_a_certificate: bool) -> Self {
        let file = |name| directory.path().join(name);
        let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .unwrap();
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if with_a_certificate {
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![certificate], key).unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, socket);
                let mut buffer = [0; 16 * 1024];
                let Ok(length @ 1..) = stream.read(&mut buffer) else {
                    continue;
                };
                seen.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                let _ = stream.write_all(
                    b"HTTP/1.1 404 Not Found\r\nDate: Mon, 02 Nov 2020 05:00:00 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        Self {
            directory,
            address,
            requests,
        }
    }

    pub(crate) fn certificate(&self) -> String {
        fs::read_to_string(self.directory.path().join("cert.pem")).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Runs openssl in `directory`.
pub(crate) fn openssl(directory: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{arguments}: {made:?}");
}
