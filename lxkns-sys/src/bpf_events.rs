//! bpf(2): programs that the kernel runs at its tracepoints, and the ring that they write to.

use std::ffi::{CStr, c_void};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};

use crate::bpf::{BPF_MAP_TYPE_ARRAY, BPF_TRACE_RAW_TP, BpfInstruction, create_map, load};
use crate::{checked, checked_fd};

const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_int = 17;

const BPF_MAP_TYPE_RINGBUF: u32 = 27;

/// Loads a program for a tracepoint, which `attach_btf_id` names: the ID of the type `btf_trace_…` in the kernel's BTF. It
/// runs once it is [attached](bpf_attach_tracepoint).
///
/// # Errors
///
/// As of [`bpf_load_iterator`](crate::bpf_load_iterator).
///
/// # Privileges
///
/// As of [`bpf_load_iterator`](crate::bpf_load_iterator).
///
/// # Minimum kernel version
///
/// 5.5; `bpf(2)`.
#[doc(alias = "BPF_PROG_LOAD")]
pub fn bpf_load_tracepoint(
    name: &CStr,
    instructions: &[BpfInstruction],
    license: &CStr,
    attach_btf_id: u32,
    log: &mut [u8],
) -> Result<OwnedFd, Errno> {
    load(BPF_TRACE_RAW_TP, name, instructions, license, attach_btf_id, log)
}

/// Has the kernel run a program at its tracepoint, for as long as the returned descriptor is open.
///
/// # Errors
///
/// `EINVAL`: the descriptor is on no program for a tracepoint. `EPERM`: see below.
///
/// # Privileges
///
/// `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN`, in the initial user namespace.
///
/// # Minimum kernel version
///
/// 5.5; `bpf(2)`.
#[doc(alias = "BPF_RAW_TRACEPOINT_OPEN")]
pub fn bpf_attach_tracepoint(program: impl AsFd) -> Result<OwnedFd, Errno> {
    /// The part of `union bpf_attr` that opens a tracepoint.
    #[repr(C)]
    struct TracepointOpen {
        name: u64,
        prog_fd: i32,
        spare: u32,
    }
    let request = TracepointOpen { name: 0, prog_fd: program.as_fd().as_raw_fd(), spare: 0 };
    let size = size_of::<TracepointOpen>();
    // SAFETY: the request is read for its size, and names no memory: without a name, the program says which tracepoint.
    checked_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &raw const request, size) })
}

/// How often the kernel did not run a program because it was running on the same processor; 0 where the kernel does not count
/// that.
///
/// # Errors
///
/// `EINVAL`, `EBADF`: the descriptor is on no program.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 5.12; `bpf(2)`.
#[doc(alias = "BPF_OBJ_GET_INFO_BY_FD")]
pub fn bpf_missed_runs(program: impl AsFd) -> Result<u64, Errno> {
    /// The words of `struct bpf_prog_info` up to `recursion_misses`, which is the last of them.
    const WORDS: usize = 27;
    /// The part of `union bpf_attr` that asks about a descriptor.
    #[repr(C)]
    struct InfoByFd {
        bpf_fd: i32,
        info_len: u32,
        info: u64,
    }
    let mut info = [0_u64; WORDS];
    let request = InfoByFd {
        bpf_fd: program.as_fd().as_raw_fd(),
        info_len: size_of_val(&info) as u32,
        info: info.as_mut_ptr().expose_provenance() as u64,
    };
    let size = size_of::<InfoByFd>();
    // SAFETY: the request is read for its size, and its length is written. It names the words, which are read and written up to
    // the stated length and outlive the call; being zero, they name no other memory.
    checked(unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const request, size) })?;
    Ok(info[WORDS - 1])
}

/// A number that programs count up (an array map with one element of 8 bytes), gone with its descriptor.
#[derive(Debug)]
pub struct BpfCounter(OwnedFd);

impl BpfCounter {
    /// Makes one; it is 0.
    ///
    /// # Errors
    ///
    /// `EPERM`: see below; also where the map would exceed `RLIMIT_MEMLOCK` (before Linux 5.11). `ENOSYS`: the kernel was
    /// built without this call.
    ///
    /// # Privileges
    ///
    /// `CAP_BPF` or `CAP_SYS_ADMIN` in the initial user namespace, where the kernel has them set for this.
    ///
    /// # Minimum kernel version
    ///
    /// 5.2, for programs to reach it without a call; `bpf(2)`.
    #[doc(alias = "BPF_MAP_CREATE")]
    pub fn new() -> Result<Self, Errno> {
        create_map(BPF_MAP_TYPE_ARRAY, size_of::<u32>(), size_of::<u64>(), 1).map(Self)
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// `EPERM`: this process may not, any more.
    ///
    /// # Privileges
    ///
    /// As of [`new`](Self::new).
    ///
    /// # Minimum kernel version
    ///
    /// As of [`new`](Self::new).
    #[doc(alias = "BPF_MAP_LOOKUP_ELEM")]
    pub fn get(&self) -> Result<u64, Errno> {
        /// The part of `union bpf_attr` that reads an element.
        #[repr(C)]
        struct Lookup {
            map_fd: i32,
            spare: u32,
            key: u64,
            value: u64,
            flags: u64,
        }
        let (key, mut value) = (0_u32, 0_u64);
        let request = Lookup {
            map_fd: self.0.as_raw_fd(),
            spare: 0,
            key: (&raw const key).expose_provenance() as u64,
            value: (&raw mut value).expose_provenance() as u64,
            flags: 0,
        };
        let size = size_of::<Lookup>();
        // SAFETY: the request is read for its size. It names a key of 4 bytes, and a value of 8 that is written: the sizes
        // that the map was made with. Both outlive the call.
        checked(unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_ELEM, &raw const request, size) })?;
        Ok(value)
    }
}

impl AsFd for BpfCounter {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A ring that programs write records to and that one reader takes them from. Its descriptor polls as readable while there
/// are some. It is gone with this value.
#[derive(Debug)]
pub struct BpfRing {
    fd: OwnedFd,
    /// One page, which says up to where records were taken.
    taken: Mapping,
    /// One page, which says up to where there are records; and behind it twice the records, so that none is in two parts.
    records: Mapping,
    page: usize,
    size: usize,
}

/// Memory that is mapped, and no longer than this value lives.
#[derive(Debug)]
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    fn new(fd: &OwnedFd, protection: ProtFlags, offset: usize, length: usize) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses an address where nothing is.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, fd, offset as u64) }?;
        Ok(Self { start: NonNull::new(start).ok_or(Errno::NOMEM)?, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this has been mapped, with this length, and nothing that borrows it lives any more. An error leaves it
        // mapped.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr(), self.length) };
    }
}

// SAFETY: the memory belongs to the process and not to a thread; it is read and written through `&mut BpfRing` alone.
unsafe impl Send for Mapping {}

impl BpfRing {
    /// Makes a ring for so many bytes of records, each of which takes 8 bytes more than it has.
    ///
    /// # Errors
    ///
    /// `EINVAL`: the size is no power of two or no multiple of the size of a page, or the kernel has no rings. `EPERM`: see
    /// below; also where it would exceed `RLIMIT_MEMLOCK` (before Linux 5.11). `ENOSYS`: the kernel was built without this
    /// call.
    ///
    /// # Privileges
    ///
    /// `CAP_BPF` or `CAP_SYS_ADMIN` in the initial user namespace.
    ///
    /// # Minimum kernel version
    ///
    /// 5.8; `bpf(2)`.
    #[doc(alias = "BPF_MAP_TYPE_RINGBUF")]
    pub fn new(size: u32) -> Result<Self, Errno> {
        let fd = create_map(BPF_MAP_TYPE_RINGBUF, 0, 0, size)?;
        let (page, size) = (rustix::param::page_size(), size as usize);
        let taken = Mapping::new(&fd, ProtFlags::READ | ProtFlags::WRITE, 0, page)?;
        let records = Mapping::new(&fd, ProtFlags::READ, page, page + 2 * size)?;
        Ok(Self { fd, taken, records, page, size })
    }

    /// Takes the records that are complete, in their order, `most` of them at most; returns how many.
    pub fn take(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        const BUSY: u32 = 1 << 31;
        const DISCARDED: u32 = 1 << 30;
        let taken_at = self.taken.start.cast::<AtomicU64>();
        // SAFETY: the page begins with this number, lives as long as `self`, and the kernel reads it as one number.
        let taken = unsafe { taken_at.as_ref() };
        let written_at = self.records.start.cast::<AtomicU64>();
        // SAFETY: as above; this the kernel writes, and nothing is stored here, where the page is for reading.
        let written = unsafe { written_at.as_ref() };
        let mut at = taken.load(Ordering::Relaxed);
        for count in 0..most {
            if at >= written.load(Ordering::Acquire) {
                return count;
            }
            let within = self.page + (at as usize & (self.size - 1));
            // SAFETY: the offset is within the mapping: a page and less than the size of the ring.
            let head_at = unsafe { self.records.start.byte_add(within) }.cast::<AtomicU32>();
            // SAFETY: each record begins at a multiple of 8 with its length, which the kernel writes as one number.
            let length = unsafe { head_at.as_ref() }.load(Ordering::Acquire);
            if length & BUSY != 0 {
                return count;
            }
            let bytes = (length & !DISCARDED) as usize;
            if length & DISCARDED == 0 && bytes <= self.size - 8 {
                // SAFETY: the record is behind its head of 8 bytes, in the mapping, which has the ring twice.
                let start = unsafe { head_at.byte_add(8) }.cast::<u8>();
                // SAFETY: the kernel has written these bytes and changes them no more before they count as taken, below.
                each(unsafe { std::slice::from_raw_parts(start.as_ptr(), bytes) });
            }
            at += (bytes + 8).next_multiple_of(8) as u64;
            taken.store(at, Ordering::Release);
        }
        most
    }
}

impl AsFd for BpfRing {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_not_attached() {
        let null = std::fs::File::open("/dev/null").unwrap();
        bpf_missed_runs(&null).expect_err("this is no program");
        let errno = bpf_attach_tracepoint(&null).expect_err("nothing was attached");
        assert!([Errno::INVAL, Errno::BADF, Errno::PERM, Errno::NOSYS].contains(&errno), "{errno}");
    }

    #[test]
    fn a_new_ring_is_empty_and_a_new_counter_is_0() {
        let refused = [Errno::PERM, Errno::NOSYS, Errno::INVAL];
        match BpfRing::new(1 << 15) {
            Ok(mut ring) => assert_eq!(ring.take(7, |record| panic!("{record:?}")), 0),
            Err(errno) => assert!(refused.contains(&errno), "{errno}"),
        }
        match BpfCounter::new() {
            Ok(counter) => assert_eq!(counter.get(), Ok(0)),
            Err(errno) => assert!(refused.contains(&errno), "{errno}"),
        }
        assert!(BpfRing::new(1000).is_err(), "this is no power of two");
    }
}
