//! Place 6: open TUN/TAP files. Each holds the network namespace that it was opened in; its device can be in another.

use super::fds::Table;
use super::found::Found;
use super::search::Search;
use super::sockets::Fetcher;
use crate::failure::Failure;
use crate::model::{Call, Holder, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Tid};
use crate::reach;

/// Notes the network namespaces of an open TUN/TAP file.
pub(super) fn file(search: &Search<'_>, found: &mut Found, fetcher: &mut Fetcher<'_>, fd: u32) {
    if !search.looks_in(Place::Tun) || search.is_without(Place::Tun) {
        return;
    }
    let object = fetcher.table.object(fd);
    match namespaces(search, found, fetcher, fd) {
        // Closed in the meantime.
        Ok(()) => {}
        Err((_, failure)) if failure.is_closed() => {}
        Err((call, failure)) => found.failed(search, Place::Tun, object, call, failure),
    }
}

fn namespaces(
    search: &Search<'_>,
    found: &mut Found,
    fetcher: &mut Fetcher<'_>,
    fd: u32,
) -> Result<(), (Call, Failure)> {
    let file = fetcher.fetch(search, fd)?;
    let &Table { pid, tid, .. } = fetcher.table;
    reach::still_means(fetcher.process, pid, tid).map_err(|errno| (Call::Fstat, errno.into()))?;
    let held = lxkns_sys::siocgskns(&file);
    // There is no device, or its network namespace is not known (before 5.2, or access denied). The file still holds
    // its own namespace.
    let device = lxkns_sys::tungetdevnetns(&file);
    drop(file);
    let held = held.map_err(|errno| (Call::Siocgskns, errno.into()))?;
    let id = reach::identity(&held).map_err(|errno| (Call::Fstat, errno.into()))?;
    let device = match device.and_then(|ns| Ok((reach::identity(&ns)?, ns))) {
        Ok((device_id, ns)) if device_id != id => {
            found.note_open(search, device_id, ns, None).map_err(|failure| (Call::Tungetdevnetns, failure))?;
            Some(device_id)
        }
        _ => None::<NamespaceId>,
    };
    let holder = Holder::Tun { pid: fetcher.table.pid, tid: fetcher.table.tid, fd, device };
    found.note_open(search, id, held, Some(holder)).map_err(|failure| (Call::Siocgskns, failure))
}

/// An open TUN/TAP file, as the kernel reader tells.
#[derive(Clone, Copy)]
pub(super) struct OpenTun {
    pub(super) pid: Pid,
    pub(super) tid: Tid,
    pub(super) fd: u32,
    /// Where it is in the kernel's memory.
    pub(super) file: u64,
}

/// Notes the network namespaces of the files that the kernel reader has told of. Where it does not know the driver, which can
/// be a module, the files are fetched.
pub(super) fn told(search: &Search<'_>, found: &mut Found) {
    let open = std::mem::take(&mut found.tuns);
    if open.is_empty() || !search.looks_in(Place::Tun) {
        return;
    }
    let files: Vec<_> = open.iter().map(|open| open.file).collect();
    let session = search.session;
    let told =
        session.kernel_reader().as_ref().ok().and_then(|reader| reader.tuns(&files, |path| session.btf(path)).ok());
    let told = told.unwrap_or_default().into_iter().chain(std::iter::repeat((0, 0)));
    for (OpenTun { pid, tid, fd, .. }, (net, of_device)) in open.into_iter().zip(told) {
        let id = |ino: u32| NamespaceId { ino: ino.into(), dev: search.devices.nsfs };
        if net != 0 {
            let device = (of_device != 0 && of_device != net).then(|| id(of_device));
            let holder = Holder::Tun { pid, tid, fd, device };
            found.hold_unopened(Place::Tun, id(net), NamespaceType::Net, Some(holder));
            if let Some(device) = device {
                found.hold_unopened(Place::Tun, device, NamespaceType::Net, None);
            }
            continue;
        }
        match search.proc.process(pid) {
            Ok(process) => {
                if let Some(table) = Table::open(search, found, &process, pid, tid) {
                    file(search, found, &mut Fetcher::new(&process, &table), fd);
                }
            }
            Err(errno) => found.gap(Place::Tun, Object::Process(pid), Operation::OPEN, errno),
        }
    }
}
