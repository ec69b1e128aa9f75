//! From certificates and keys to what speaks TLS. The supervisor tries it, so that the front gets only what works.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use lxkns_answers::text::escape::printable;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, ALL_KX_GROUPS, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite};
use webpki::EndEntityCert;

use super::{Clients, Tls};

/// What speaks TLS.
#[derive(Debug)]
pub(crate) struct Server {
    /// For each handshake.
    pub(crate) config: Arc<ServerConfig>,
    /// The DNS names of the service's certificate.
    pub(crate) names: Vec<String>,
}

impl Server {
    /// As configured.
    ///
    /// # Errors
    ///
    /// A certificate or key is none, they do not belong together, or a name is unknown.
    pub(crate) fn new(tls: &Tls) -> anyhow::Result<Self> {
        let chain = certificates(&tls.certificates).context("tls_server_config.cert_file")?;
        let key = PrivateKeyDer::from_pem_slice(&tls.key).map_err(|error| {
            // What is in there instead is not shown.
            let what = if matches!(error, rustls::pki_types::pem::Error::NoItemsFound) { "no" } else { "a malformed" };
            anyhow::anyhow!("tls_server_config.key_file: {what} private key in PEM")
        })?;
        let provider = Arc::new(provider(tls)?);
        let versions: Vec<_> = [(tls.has_12, &rustls::version::TLS12), (tls.has_13, &rustls::version::TLS13)]
            .into_iter()
            .filter_map(|(is_spoken, version)| is_spoken.then_some(version))
            .collect();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&versions).context("tls_server_config.cipher_suites")?;
        let builder = match tls.clients {
            Clients::Anybody => builder.with_no_client_auth(),
            Clients::Verified | Clients::Required => {
                let mut roots = RootCertStore::empty();
                for root in certificates(&tls.client_cas).context("tls_server_config.client_ca_file")? {
                    roots.add(root).context("tls_server_config.client_ca_file")?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier =
                    if tls.clients == Clients::Required { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().context("tls_server_config.client_ca_file")?)
            }
        };
        let first = chain[0].clone();
        let mut config = builder.with_single_cert(chain, key).context("tls_server_config: certificate and key")?;
        config.ignore_client_order = tls.prefers_own_order;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would outlive the certificate that began it.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        let certificate = EndEntityCert::try_from(&first);
        let certificate = certificate.map_err(|error| anyhow::anyhow!("tls_server_config.cert_file: {error}"))?;
        let names = certificate.valid_dns_names().map(str::to_owned).collect();
        Ok(Self { config: Arc::new(config), names })
    }
}

/// The certificates in a text, of which there must be some.
fn certificates(pem: &[u8]) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.ok().filter(|found| !found.is_empty());
    found.context("no certificate in PEM, or a malformed one")
}

fn provider(tls: &Tls) -> anyhow::Result<CryptoProvider> {
    let mut provider = default_provider();
    if !tls.suites.is_empty() {
        let is_13 = |suite: &&SupportedCipherSuite| matches!(suite, SupportedCipherSuite::Tls13(_));
        // Those of TLS 1.3 are always there, as in Go.
        let mut suites: Vec<_> = ALL_CIPHER_SUITES.iter().filter(is_13).copied().collect();
        for name in &tls.suites {
            // rustls calls those of TLS 1.3 otherwise than their standard.
            let is_it =
                |suite: &&SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_") == *name;
            let suite = ALL_CIPHER_SUITES.iter().find(is_it);
            let suite = suite.with_context(|| format!("tls_server_config.cipher_suites: {name} is not supported"))?;
            if !is_13(&suite) {
                suites.push(*suite);
            }
        }
        provider.cipher_suites = suites;
    }
    if !tls.curves.is_empty() {
        let mut groups = Vec::new();
        for name in &tls.curves {
            let wanted = match name.as_str() {
                "CurveP256" => Some(NamedGroup::secp256r1),
                "CurveP384" => Some(NamedGroup::secp384r1),
                "X25519" => Some(NamedGroup::X25519),
                _ => None,
            };
            let group = wanted.and_then(|wanted| ALL_KX_GROUPS.iter().find(|group| group.name() == wanted));
            groups.push(*group.with_context(|| {
                format!(
                    "tls_server_config.curve_preferences: {name} is not supported; use X25519, CurveP256 or CurveP384"
                )
            })?);
        }
        provider.kx_groups = groups;
    }
    ensure!(
        !tls.has_12
            || tls.has_13
            || provider.cipher_suites.iter().any(|suite| matches!(suite, SupportedCipherSuite::Tls12(_))),
        "tls_server_config.cipher_suites: none is of TLS 1.2"
    );
    Ok(provider)
}

/// Whether a client's certificate has one of these names, exactly. Without names, each has.
pub(crate) fn is_allowed(names: &[String], certificate: Option<&CertificateDer<'_>>) -> bool {
    if names.is_empty() {
        return true;
    }
    let Some(Ok(certificate)) = certificate.map(EndEntityCert::try_from) else { return false };
    names.iter().any(|name| match name.parse::<IpAddr>() {
        Ok(address) => certificate.verify_is_valid_for_subject_name(&ServerName::IpAddress(address.into())).is_ok(),
        Err(_) => certificate.valid_dns_names().chain(certificate.valid_uri_names()).any(|known| known == name),
    })
}

/// The names in a client's certificate, for the log: the common name of its subject, its DNS names and URIs.
pub(crate) fn certificate_names(certificate: &CertificateDer<'_>) -> String {
    /// More of them are not told, and no more of each.
    const MOST: usize = 8;
    const LONGEST: usize = 128;
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return String::new() };
    let common = common_name(certificate.subject()).map(|name| (&b"CN="[..], name));
    let dns = certificate.valid_dns_names().map(|name| (&b"DNS:"[..], name.as_bytes()));
    let uris = certificate.valid_uri_names().map(|name| (&b"URI:"[..], name.as_bytes()));
    let names = common.into_iter().chain(dns).chain(uris).take(MOST);
    let text = |(kind, name): (&[u8], &[u8])| printable(&[kind, &name[..name.len().min(LONGEST)]].concat());
    // A blank in a name does not begin another one.
    names.map(|name| text(name).replace(' ', "\\x20")).collect::<Vec<_>>().join(" ")
}

/// The common name in a subject: the parts of an X.501 name, in DER.
fn common_name(mut subject: &[u8]) -> Option<&[u8]> {
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    while let Some((mut parts, rest)) = element(subject) {
        subject = rest;
        while let Some((part, rest)) = element(parts) {
            parts = rest;
            let Some((kind, value)) = element(part) else { continue };
            if kind == COMMON_NAME {
                return element(value).map(|(name, _)| name);
            }
        }
    }
    None
}

/// The content of the first element, and what comes after it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[_, first], rest) = der.split_first_chunk()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        _ => return None,
    };
    rest.split_at_checked(length)
}
