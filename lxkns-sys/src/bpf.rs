//! bpf(2): programs, and those that the kernel's iterators run.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::{checked, checked_fd};

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;

pub(crate) const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_PROG_TYPE_TRACING: u32 = 26;
pub(crate) const BPF_TRACE_RAW_TP: u32 = 23;
const BPF_TRACE_ITER: u32 = 28;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_QUERY_EFFECTIVE: u32 = 1;

/// The bytes of a program's name, with the zero that ends it.
const NAME: usize = 16;

/// An instruction of a BPF program: `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct BpfInstruction {
    /// What it does.
    pub code: u8,
    /// The numbers of the destination and source registers, 4 bits each.
    registers: u8,
    /// A distance: of memory in bytes, of a jump in instructions.
    pub offset: i16,
    /// A number.
    pub immediate: i32,
}

impl BpfInstruction {
    /// An instruction on these two registers, of which only the lower 4 bits count.
    pub const fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = match cfg!(target_endian = "little") {
            true => source << 4 | destination & 15,
            false => destination << 4 | source & 15,
        };
        Self { code, registers, offset, immediate }
    }
}

/// The part of `union bpf_attr` that loads a program.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    spare: u32,
}

/// Loads a program for an iterator, which `attach_btf_id` names: the ID of the function `bpf_iter_…` in the kernel's BTF.
/// The verifier writes into `log` why it refuses a program, as far as there is room; an empty one costs nothing.
///
/// # Errors
///
/// `EPERM`: see below. `EACCES`, `EINVAL`, `E2BIG`: the verifier refuses the program. `ENOSPC`: `log` is too small.
/// `ENOSYS`: the kernel was built without this call.
///
/// # Privileges
///
/// `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN`, in the initial user namespace; and no lockdown at "confidentiality".
///
/// # Minimum kernel version
///
/// 5.8; `bpf(2)`.
#[doc(alias = "BPF_PROG_LOAD")]
pub fn bpf_load_iterator(
    name: &CStr,
    instructions: &[BpfInstruction],
    license: &CStr,
    attach_btf_id: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Errno> {
    load(BPF_TRACE_ITER, name, instructions, license, attach_btf_id, log)
}

/// Loads a program that is to be attached so.
pub(crate) fn load(
    attach_type: u32,
    name: &CStr,
    instructions: &[BpfInstruction],
    license: &CStr,
    attach_btf_id: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Errno> {
    let mut request = ProgLoad {
        prog_type: BPF_PROG_TYPE_TRACING,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
        insns: instructions.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        expected_attach_type: attach_type,
        attach_btf_id,
        ..ProgLoad::default()
    };
    for (to, &from) in request.prog_name[..NAME - 1].iter_mut().zip(name.to_bytes()) {
        *to = from;
    }
    if !log.is_empty() {
        request.log_level = 1;
        request.log_size = u32::try_from(log.len()).map_err(|_| Errno::TOOBIG)?;
        request.log_buf = log.as_mut_ptr().expose_provenance() as u64;
    }
    let size = size_of::<ProgLoad>();
    // SAFETY: the request is read for its size. It names the instructions and the licence, which are read for the stated
    // number and up to the zero, and the log, into which at most its size is written; all three outlive the call.
    checked_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const request, size) })
}

/// Ties a program to its iterator, for as long as the returned descriptor is open.
///
/// # Errors
///
/// `EPERM`: see below. `EINVAL`, `ENOENT`: the kernel has no such iterator.
///
/// # Privileges
///
/// As [`bpf_load_iterator`].
///
/// # Minimum kernel version
///
/// 5.8; `bpf(2)`.
#[doc(alias = "BPF_LINK_CREATE")]
pub fn bpf_link_iterator(program: impl AsFd) -> Result<OwnedFd, Errno> {
    link(program.as_fd(), None)
}

fn link(program: BorrowedFd<'_>, map: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Errno> {
    /// The part of `union bpf_attr` that creates a link.
    #[repr(C)]
    struct LinkCreate {
        prog_fd: i32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        iter_info: u64,
        iter_info_len: u32,
        spare: u32,
    }
    let map = map.map(|map| map.as_raw_fd());
    let request = LinkCreate {
        prog_fd: program.as_raw_fd(),
        target_fd: 0,
        attach_type: BPF_TRACE_ITER,
        flags: 0,
        iter_info: map.as_ref().map_or(0, |map| std::ptr::from_ref(map).expose_provenance() as u64),
        iter_info_len: map.map_or(0, |_| size_of::<i32>() as u32),
        spare: 0,
    };
    let size = size_of::<LinkCreate>();
    // SAFETY: the request is read for its size. It names the descriptor of a map or nothing; that number is read for its
    // size, and outlives the call.
    checked_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, &raw const request, size) })
}

/// Makes a map, which ends with its descriptor.
pub(crate) fn create_map(
    map_type: u32,
    key_size: usize,
    value_size: usize,
    max_entries: u32,
) -> Result<OwnedFd, Errno> {
    /// The part of `union bpf_attr` that makes a map.
    #[repr(C)]
    struct MapCreate {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        inner_map_fd: u32,
        numa_node: u32,
        map_name: [u8; NAME],
    }
    let request = MapCreate {
        map_type,
        key_size: key_size as u32,
        value_size: value_size as u32,
        max_entries,
        map_flags: 0,
        inner_map_fd: 0,
        numa_node: 0,
        map_name: *b"lxkns\0\0\0\0\0\0\0\0\0\0\0",
    };
    let size = size_of::<MapCreate>();
    // SAFETY: the request is read for its size, and names no memory.
    checked_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_CREATE, &raw const request, size) })
}

/// An array of the kernel's for BPF programs, which ends with its descriptor.
#[derive(Debug)]
pub struct BpfArray(OwnedFd);

/// An element of a [`BpfArray`].
pub type BpfElement = [u64; 4];

impl BpfArray {
    /// Makes an array of so many elements, all zeros.
    ///
    /// # Errors
    ///
    /// `EPERM`: see below. `ENOMEM`, `E2BIG`: there is no room for it.
    ///
    /// # Privileges
    ///
    /// `CAP_BPF`, or `CAP_SYS_ADMIN`, in the initial user namespace.
    ///
    /// # Minimum kernel version
    ///
    /// 4.15, which gives maps names; `bpf(2)`.
    #[doc(alias = "BPF_MAP_CREATE")]
    pub fn new(elements: u32) -> Result<Self, Errno> {
        create_map(BPF_MAP_TYPE_ARRAY, size_of::<u32>(), size_of::<BpfElement>(), elements).map(Self)
    }

    /// Writes its first elements.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the kernel cannot write several in one call. `E2BIG`: it has fewer.
    ///
    /// # Privileges
    ///
    /// As [`new`](Self::new).
    ///
    /// # Minimum kernel version
    ///
    /// 5.6; `bpf(2)`.
    #[doc(alias = "BPF_MAP_UPDATE_BATCH")]
    pub fn write(&self, elements: &[BpfElement]) -> Result<(), Errno> {
        /// The part of `union bpf_attr` that writes several elements.
        #[repr(C)]
        struct Batch {
            in_batch: u64,
            out_batch: u64,
            keys: u64,
            values: u64,
            count: u32,
            map_fd: i32,
            elem_flags: u64,
            flags: u64,
        }
        let count = u32::try_from(elements.len()).map_err(|_| Errno::TOOBIG)?;
        let keys: Vec<u32> = (0..count).collect();
        let mut request = Batch {
            in_batch: 0,
            out_batch: 0,
            keys: keys.as_ptr().expose_provenance() as u64,
            values: elements.as_ptr().expose_provenance() as u64,
            count,
            map_fd: self.0.as_raw_fd(),
            elem_flags: 0,
            flags: 0,
        };
        let size = size_of::<Batch>();
        // SAFETY: the request is read for its size, and `count` is written in it. It names as many keys and elements as it
        // says, which are read for the sizes that the array was made with; both outlive the call.
        checked(unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, &raw mut request, size) })?;
        Ok(())
    }

    /// As [`bpf_link_iterator`], of a program for the elements of maps: to this one.
    ///
    /// # Errors
    ///
    /// As [`bpf_link_iterator`]. `EACCES`: the program reads more of an element than there is.
    ///
    /// # Privileges
    ///
    /// As [`bpf_load_iterator`].
    ///
    /// # Minimum kernel version
    ///
    /// 5.9; `bpf(2)`.
    pub fn link_iterator(&self, program: impl AsFd) -> Result<OwnedFd, Errno> {
        link(program.as_fd(), Some(self.0.as_fd()))
    }
}

/// Begins to iterate: `read(2)` of the returned descriptor runs the program for one object after the other, and returns
/// what it writes. Iterators over tasks show those of the PID namespace that the calling process is in.
///
/// # Errors
///
/// `EBADF`, `EINVAL`: the descriptor is not on a link of an iterator.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 5.8; `bpf(2)`.
#[doc(alias = "BPF_ITER_CREATE")]
pub fn bpf_create_iterator(link: impl AsFd) -> Result<OwnedFd, Errno> {
    /// The part of `union bpf_attr` that creates an iterator.
    #[repr(C)]
    struct IterCreate {
        link_fd: i32,
        flags: u32,
    }
    let request = IterCreate { link_fd: link.as_fd().as_raw_fd(), flags: 0 };
    let size = size_of::<IterCreate>();
    // SAFETY: the request is read for its size, and names no memory.
    checked_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_ITER_CREATE, &raw const request, size) })
}

/// How many BPF programs decide which devices the processes of a control group of version 2 may open: its own, and those of
/// the control groups above it. `cgroup` is its directory, which may be open with `O_PATH`.
///
/// # Errors
///
/// `EPERM`: see below. `EBADF`: it is no control group of version 2. `ENOSYS`, `EINVAL`: the kernel was built without this.
///
/// # Privileges
///
/// `CAP_NET_ADMIN` or `CAP_SYS_ADMIN` in the initial user namespace.
///
/// # Minimum kernel version
///
/// 4.15; `bpf(2)`.
#[doc(alias = "BPF_PROG_QUERY")]
pub fn bpf_device_programs(cgroup: impl AsFd) -> Result<u32, Errno> {
    /// The part of `union bpf_attr` that asks for attached programs.
    #[repr(C)]
    #[derive(Default)]
    struct ProgQuery {
        target_fd: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        prog_cnt: u32,
        /// Later kernels write a revision here, whatever size they were told.
        later: [u32; 25],
    }
    let mut request = ProgQuery {
        target_fd: cgroup.as_fd().as_raw_fd().cast_unsigned(),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: BPF_F_QUERY_EFFECTIVE,
        ..ProgQuery::default()
    };
    let size = size_of::<ProgQuery>();
    // SAFETY: the request is read for its size, and written within it: it has all that the kernel knows of such a request. It
    // has room for no IDs, and names no memory.
    checked(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut request, size) })?;
    Ok(request.prog_cnt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requests_have_the_kernels_form() {
        assert_eq!(size_of::<BpfInstruction>(), 8);
        assert_eq!(std::mem::offset_of!(ProgLoad, prog_name), 48);
        assert_eq!(std::mem::offset_of!(ProgLoad, attach_btf_id), 108);
        let both = BpfInstruction::new(0, 3, 10, 0, 0).registers;
        assert_eq!(both, if cfg!(target_endian = "little") { 0xa3 } else { 0x3a });
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let failed = |result: Result<OwnedFd, Errno>| result.expect_err("nothing was loaded");
        // Without privileges the kernel says so before it looks at the descriptor; a filter of system calls, ENOSYS.
        let expected = [Errno::INVAL, Errno::BADF, Errno::PERM, Errno::NOSYS];
        for errno in [failed(bpf_link_iterator(&null)), failed(bpf_create_iterator(&null))] {
            assert!(expected.contains(&errno), "{errno}");
        }
        let errno = bpf_device_programs(&null).expect_err("it is no control group");
        assert!(expected.contains(&errno), "{errno}");
        let errno = failed(bpf_load_iterator(c"lxkns_none", &[], c"GPL", 1, &mut []));
        assert!([Errno::INVAL, Errno::TOOBIG, Errno::PERM, Errno::NOSYS].contains(&errno), "{errno}");
        let errno = BpfArray::new(0).expect_err("an array has elements");
        assert!(expected.contains(&errno), "{errno}");
    }
}
