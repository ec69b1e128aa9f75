//! What the files say, and which files are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{Access, Clients, Sources};
use crate::memory;

/// Files of a test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let made = rcgen::generate_simple_self_signed(vec!["lxkns.example".to_owned()]).unwrap();
        files.write("cert.pem", &made.cert.pem(), 0o644);
        files.write("key.pem", &made.signing_key.serialize_pem(), 0o600);
        files
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn read(&self, config: &str) -> anyhow::Result<Access> {
        let web_config = Some(self.write("web.yml", config, 0o644));
        Sources { web_config, tokens: None }.read()
    }

    fn refused(&self, config: &str) -> String {
        format!("{:#}", self.read(config).err().unwrap_or_else(|| panic!("{config} is taken")))
    }
}

const TLS: &str = "tls_server_config: {cert_file: cert.pem, key_file: key.pem";

#[test]
fn files_are_found_beside_the_configuration() {
    let files = Files::new();
    let access = files.read(&format!("{TLS}}}")).unwrap();
    let tls = access.tls.as_ref().unwrap();
    assert_eq!(super::Server::new(tls).unwrap().names, ["lxkns.example"]);
    assert!(!access.is_secured() && access.words() == "TLS 1.2 or 1.3");
    let client = files.read(&format!(
        "{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: cert.pem, min_version: TLS13}}"
    ));
    let client = client.unwrap();
    assert_eq!(client.tls.as_ref().unwrap().clients, Clients::Required);
    assert!(client.is_secured());
    assert_eq!(client.words(), "TLS 1.3, with a client certificate");
    let passed = memory::unseal::<Access>(memory::seal("test", &client).unwrap()).unwrap();
    assert!(passed == client);
}

#[test]
fn what_does_not_work_is_refused_by_name() {
    let files = Files::new();
    let other = rcgen::generate_simple_self_signed(vec!["other.example".to_owned()]).unwrap();
    files.write("other.pem", &other.signing_key.serialize_pem(), 0o600);
    files.write("open.pem", &fs::read_to_string(files.0.path().join("key.pem")).unwrap(), 0o644);
    files.write("loose.pem", &fs::read_to_string(files.0.path().join("cert.pem")).unwrap(), 0o664);
    files.write("keyless.pem", &fs::read_to_string(files.0.path().join("cert.pem")).unwrap(), 0o600);
    files.write("long.pem", &"x".repeat(2 << 20), 0o600);
    files.write("broken.pem", "-----BEGIN PRIVATE KEY-----\nsecret\n", 0o600);
    for (config, named) in [
        ("tls_server_config: {cert_file: none.pem, key_file: key.pem}", "cert_file: "),
        ("tls_server_config: {cert_file: key.pem, key_file: key.pem}", "cert_file: no certificate"),
        ("tls_server_config: {cert_file: cert.pem, key_file: keyless.pem}", "key_file: no private key"),
        ("tls_server_config: {cert_file: cert.pem, key_file: broken.pem}", "key_file: a malformed private key"),
        ("tls_server_config: {cert_file: cert.pem, key_file: other.pem}", "certificate and key"),
        ("tls_server_config: {cert_file: cert.pem, key_file: open.pem}", "everyone can read the key (mode 0644)"),
        (
            "tls_server_config: {cert_file: loose.pem, key_file: key.pem}",
            "users other than its owner can change it (mode 0664)",
        ),
        ("tls_server_config: {cert_file: long.pem, key_file: key.pem}", "longer than 1 MiB"),
        ("tls_server_config: {cert_file: ., key_file: key.pem}", "not a regular file"),
        ("tls_server_config: {cert: x, key: y}", "everyone can read the key"),
        (
            &format!("{TLS}, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]}}"),
            "TLS_RSA_WITH_AES_128_CBC_SHA is not supported",
        ),
        (
            &format!("{TLS}, max_version: TLS12, cipher_suites: [TLS_AES_128_GCM_SHA256]}}"),
            "cipher_suites: none is of TLS 1.2",
        ),
        (&format!("{TLS}, curve_preferences: [CurveP521]}}"), "CurveP521 is not supported"),
        (
            &format!("{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: key.pem}}"),
            "client_ca_file: no certificate",
        ),
    ] {
        let error = files.refused(config);
        assert!(error.contains(named) && !error.contains('\n') && !error.contains("secret"), "{config}: {error}");
    }
    let fine =
        "{TLS}, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519, CurveP256]}";
    assert!(files.read(&fine.replace("{TLS}", TLS)).is_ok());
    let pipe = files.0.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = Sources { web_config: Some(pipe), tokens: None }.read().err().unwrap();
    assert!(format!("{error:#}").contains("not a regular file"), "{error:#}");
}

#[test]
fn tokens_are_hashes_alone() {
    let files = Files::new();
    let read = |text: &str| {
        let tokens = Some(files.write("tokens", text, 0o600));
        Sources { web_config: None, tokens }.read()
    };
    // printf %s token | sha256sum
    let hash = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0";
    let access = read(&format!("# for Prometheus\n\n{hash}  -\n{} second\n", hash.to_uppercase())).unwrap();
    assert_eq!(access.tokens.len(), 2);
    assert_eq!(access.tokens[0].hash, access.tokens[1].hash);
    assert_eq!((access.tokens[0].name.as_str(), access.tokens[1].name.as_str()), ("token in line 3", "second"));
    assert_eq!(access.tokens[0].hash, ring::digest::digest(&ring::digest::SHA256, b"token").as_ref());
    assert!(access.wants_credentials() && !access.is_secured());
    for text in ["", "# none\n", "token\n", &hash[1..], &format!("+{}", &hash[1..]), &format!("{hash}0")] {
        let error = format!("{:#}", read(text).err().unwrap_or_else(|| panic!("{text} is taken")));
        assert!(error.contains("tokens: ") && !error.contains("token\n"), "{text}: {error}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_once() {
    let files = Files::new();
    let path = files.0.path().join("missing");
    for (web_config, tokens) in [(Some(path.clone()), None), (None, Some(path.clone()))] {
        let error = Sources { web_config, tokens }.read().err().unwrap();
        assert_eq!(format!("{error:#}").matches(path.to_str().unwrap()).count(), 1, "{error:#}");
    }
}
