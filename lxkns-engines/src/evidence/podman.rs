//! What containers/storage keeps of podman's containers, and podman of its pods.

use bstr::{BString, ByteSlice as _};
use lxkns_model::{EngineKind, EvidenceKind, Pod, Uid};

use super::Claim;
use crate::collect::{Collector, counts};
use crate::parse::podman;

/// Where root's are, if nothing says otherwise.
const STORAGE: &str = "/var/lib/containers/storage";

/// The storage that a bundle is in: `STORAGE/DRIVER-containers/ID/userdata`.
pub(crate) fn storage_of(bundle: &[u8]) -> Option<BString> {
    let containers = bundle.strip_suffix(b"/userdata")?.rsplit_once_str("/")?.0;
    let (storage, driver) = containers.rsplit_once_str("/")?;
    (driver.ends_with(b"-containers") && storage.starts_with(b"/")).then(|| storage.into())
}

pub(crate) fn collect(collector: &mut Collector<'_>) {
    let mut storages = std::mem::take(&mut collector.storages);
    storages.insert((None, STORAGE.into()));
    for (said_by, path) in collector.places(storages) {
        let Some(dir) = collector.at_by(&path, said_by) else { continue };
        for name in collector.names(&dir) {
            let Some(name) = name.to_str().ok().filter(|name| name.ends_with("-containers")) else { continue };
            let Some(dir) = collector.again(&format!("{path}/{name}")) else { continue };
            for file in ["containers.json", "volatile-containers.json"] {
                let Some((text, whose)) = collector.read(&dir, file) else { continue };
                if !counts(said_by, whose) {
                    continue;
                }
                let Ok(all) = podman::parse(&text) else {
                    collector.malformed(&dir, file);
                    continue;
                };
                for stored in all {
                    let evidence = collector.evidence(EvidenceKind::EngineFile, dir.path_of(file));
                    let mut claim = Claim::new(EngineKind::Podman, stored.id, evidence);
                    claim.facts.name = stored.name;
                    claim.facts.image = stored.image;
                    claim.facts.created = stored.created;
                    collector.claim(claim, whose);
                }
            }
        }
        pods(collector, &path, said_by);
    }
}

/// The pods of containers, and their names.
fn pods(collector: &mut Collector<'_>, storage: &str, said_by: Option<Uid>) {
    if collector.pods.is_empty() {
        return;
    }
    let places = [(format!("{storage}/libpod"), "bolt_state.db"), (storage.to_owned(), "db.sql")];
    for (path, file) in places {
        let Some(dir) = collector.again(&path) else { continue };
        let Some((text, whose)) = collector.read(&dir, file).filter(|(_, whose)| counts(said_by, *whose)) else {
            continue;
        };
        // As many as one pass each over the database allows.
        let named: Vec<_> = collector
            .pods
            .iter()
            .take(MOST_PODS)
            .filter_map(|id| Some((id.clone(), podman::pod_of(&text, id)?)))
            .collect();
        for (id, (uid, name)) in named {
            // Not a container: all containers of the pod whose infrastructure container this is get its name.
            let evidence = collector.evidence(EvidenceKind::EngineFile, dir.path_of(file));
            let mut claim = Claim::new(EngineKind::Podman, id, evidence);
            claim.facts.pod = Some(Pod { namespace: BString::default(), name, uid });
            claim.is_of_pod = true;
            collector.claim(claim, whose);
        }
    }
}

/// How many containers are looked up in a database.
const MOST_PODS: usize = 64;

#[cfg(test)]
mod tests {
    use super::storage_of;

    #[test]
    fn bundles_say_where_the_storage_is() {
        let of = |bundle: &[u8]| storage_of(bundle).map(|storage| storage.to_string());
        assert_eq!(of(b"/s/overlay-containers/ab/userdata").as_deref(), Some("/s"));
        assert_eq!(
            of(b"/home/a/.local/share/containers/storage/vfs-containers/ab/userdata").as_deref(),
            Some("/home/a/.local/share/containers/storage")
        );
        for bundle in
            [&b"/s/overlay-containers/ab"[..], b"/userdata", b"s/vfs-containers/a/userdata", b"/s/x/ab/userdata", b""]
        {
            assert_eq!(of(bundle), None);
        }
    }
}
