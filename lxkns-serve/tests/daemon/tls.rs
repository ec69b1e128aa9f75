//! Certificates of a test's own, and clients that speak TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::running::{Daemon, Reply, exchange, request};

/// The name that certificates of services have.
pub(crate) const NAME: &str = "lxkns.example";

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, names: &[&str], usage: ExtendedKeyUsagePurpose, last_year: Option<i32>) -> Pair {
        let mut params = Self::params(names, usage);
        if let Some(year) = last_year {
            params.not_after = date_time_ymd(year, 1, 1);
        }
        self.signed(params)
    }

    fn params(names: &[&str], usage: ExtendedKeyUsagePurpose) -> CertificateParams {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages.push(usage);
        params
    }

    fn signed(&self, params: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// A certificate of a service.
    pub(crate) fn service(&self) -> Pair {
        self.sign(&[NAME, "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth, None)
    }

    /// A certificate of a client.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.sign(&[name], ExtendedKeyUsagePurpose::ClientAuth, None)
    }

    /// A certificate of a client with a common name.
    pub(crate) fn called(&self, common_name: &str, names: &[&str]) -> Pair {
        let mut params = Self::params(names, ExtendedKeyUsagePurpose::ClientAuth);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        self.signed(params)
    }

    /// A certificate of a client that was good until 2020.
    pub(crate) fn expired_client(&self, name: &str) -> Pair {
        self.sign(&[name], ExtendedKeyUsagePurpose::ClientAuth, Some(2020))
    }
}

/// Files of a test: certificates and the configuration.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap())
    }

    /// With `cert.pem` and `key.pem` of a service.
    pub(crate) fn of_service(authority: &Authority) -> Self {
        let files = Self::new();
        files.put_service(&authority.service());
        files
    }

    pub(crate) fn put_service(&self, pair: &Pair) {
        self.put("cert.pem", &pair.certificate);
        self.put("key.pem", &pair.key);
    }

    /// Writes a file that its owner alone can read.
    pub(crate) fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A daemon with this web configuration.
    pub(crate) fn daemon(&self, config: &str, arguments: &[&str]) -> Daemon {
        let config = self.put("web.yml", config);
        Daemon::start(&[&["--web.config.file", config.to_str().unwrap()], arguments].concat())
    }
}

/// The section that names both files of a service, open for more keys.
pub(crate) const SERVICE: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem";

/// A client that trusts an authority.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

/// A connection of its.
pub(crate) type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    pub(crate) fn new(authority: &Authority, own: Option<&Pair>) -> Self {
        Self::speaking(authority, own, rustls::ALL_VERSIONS)
    }

    pub(crate) fn speaking(
        authority: &Authority,
        own: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(roots);
        Self(Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        }))
    }

    /// A connection, whose handshake comes with its first bytes.
    pub(crate) fn connect(&self, stream: TcpStream) -> Connection {
        let name = ServerName::try_from(NAME).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.0), name).unwrap(), stream)
    }

    /// The response to a GET with these headers.
    pub(crate) fn get(&self, daemon: &Daemon, path: &str, headers: &[&str]) -> Reply {
        exchange(self.connect(daemon.connect()), &request("GET", path, headers))
    }

    /// The status of a response; `None` where the connection ends before one.
    pub(crate) fn status(&self, stream: TcpStream, path: &str) -> Option<u16> {
        let mut connection = self.connect(stream);
        let _ = connection.write_all(request("GET", path, &[]).as_bytes());
        let mut bytes = Vec::new();
        let _ = connection.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        text.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse().unwrap())
    }
}
