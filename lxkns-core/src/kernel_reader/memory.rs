//! The programs that read what no iterator goes through: words of the kernel's memory, and lists.
//!
//! Both run for each element of an array that says where to read. What is read can be freed and used for something else at
//! any time; where nothing is any more, it reads as zero. So whoever follows pointers checks what they lead to, and reads
//! everything a second time.

use std::sync::{Mutex, OnceLock, PoisonError};

use lxkns_sys::{BpfArray, BpfElement, BpfInstruction};
use rustc_hash::FxHashMap;

use super::assembler::{Assembler, FRAME, If, R1, R3, R6, R7, R8, R9, Width};
use super::btf::Btf;
use super::programs::{Fields, Missing, RECORD};
use super::{Iterator, Refusal};
use crate::model::Call;

/// The iterator that the programs belong to.
pub(super) const ELEMENT_ITERATOR: &str = "bpf_iter_bpf_map_elem";

/// How many elements the array has, and so how many words or lists are read in one go.
const ELEMENTS: u32 = 512;
/// How many nodes of a list one run tells of.
const NODES: i32 = 512;
/// How many nodes are told of one list at most.
pub(super) const MOST_NODES: usize = 64 << 10;
/// The bytes of a record: the number of the element, and what was read.
const PAIR: usize = 16;

/// Where the node is that a list is followed to.
const STOP: i16 = -24;

/// What a walk through the kernel's memory reads it with.
pub(crate) trait Memory {
    /// The words of 8 bytes at these addresses; 0 for those that cannot be read.
    fn words(&self, addresses: &[u64]) -> Result<Vec<u64>, Refusal>;

    /// For each list the nodes after the one that it starts at, up to one that leads nowhere or back to that. The other
    /// number is where in a node the pointer to the next one is.
    fn lists(&self, starts: &[(u64, u64)]) -> Result<Vec<List>, Refusal>;
}

/// A list of the kernel's, as far as it was followed.
#[derive(Debug, Default)]
pub(crate) struct List {
    pub(crate) nodes: Vec<u64>,
    /// Whether the last of them leads back to where the list starts: nothing is missing.
    pub(crate) is_whole: bool,
}

/// The programs, and the array that says where to read.
#[derive(Debug)]
pub(super) struct MemoryReader {
    words: Iterator,
    lists: Iterator,
    /// Of one walk at a time.
    array: OnceLock<Result<Mutex<BpfArray>, Refusal>>,
}

impl MemoryReader {
    pub(super) fn new(btf: &Btf<'_>) -> Result<Self, Missing> {
        let of_elements = btf.function(ELEMENT_ITERATOR).ok_or(Missing(ELEMENT_ITERATOR))?;
        Ok(Self {
            words: Iterator::new(c"lxkns_words", of_elements, program(btf, false)?),
            lists: Iterator::new(c"lxkns_lists", of_elements, program(btf, true)?),
            array: OnceLock::new(),
        })
    }

    #[cfg(any(test, feature = "_fuzz"))]
    pub(super) fn iterators(&self) -> [&Iterator; 2] {
        [&self.words, &self.lists]
    }

    /// Runs one of the programs for these elements.
    fn run(
        &self,
        iterator: &Iterator,
        elements: &[BpfElement],
        mut each: impl FnMut(usize, u64),
    ) -> Result<(), Refusal> {
        let array = self.array.get_or_init(|| {
            let made = BpfArray::new(ELEMENTS);
            made.map(Mutex::new).map_err(Refusal::of(Call::Bpf))
        });
        let array = array.as_ref().map_err(Clone::clone)?.lock().unwrap_or_else(PoisonError::into_inner);
        iterator.load_for(&array)?;
        for (part, elements) in elements.chunks(ELEMENTS as usize).enumerate() {
            let mut whole = elements.to_vec();
            // The program is not to tell of what was asked for before.
            whole.resize(ELEMENTS as usize, [0; 4]);
            array.write(&whole).map_err(Refusal::of(Call::Bpf))?;
            iterator.run(PAIR, |pair| {
                let number =
                    |at: usize| pair.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_ne_bytes);
                let index = number(0) as usize;
                if index < elements.len() {
                    each(part * ELEMENTS as usize + index, number(8));
                }
            })?;
        }
        Ok(())
    }
}

impl Memory for MemoryReader {
    fn words(&self, addresses: &[u64]) -> Result<Vec<u64>, Refusal> {
        let mut words = vec![0; addresses.len()];
        if words.is_empty() {
            return Ok(words);
        }
        let elements: Vec<_> = addresses.iter().map(|&address| [address, 0, 0, 0]).collect();
        self.run(&self.words, &elements, |index, word| {
            if let Some(to) = words.get_mut(index) {
                *to = word;
            }
        })?;
        Ok(words)
    }

    fn lists(&self, starts: &[(u64, u64)]) -> Result<Vec<List>, Refusal> {
        let mut lists: Vec<List> = Vec::new();
        lists.resize_with(starts.len(), List::default);
        let mut todo: Vec<usize> = (0..starts.len()).collect();
        while !todo.is_empty() {
            let from = |index: usize| lists[index].nodes.last().copied().unwrap_or(starts[index].0);
            let elements: Vec<_> =
                todo.iter().map(|&index| [from(index), starts[index].1, starts[index].0, 0]).collect();
            let mut told: FxHashMap<usize, usize> = FxHashMap::default();
            self.run(&self.lists, &elements, |element, node| {
                let Some(&index) = todo.get(element) else { return };
                if node == starts[index].0 {
                    lists[index].is_whole = true;
                } else {
                    lists[index].nodes.push(node);
                    *told.entry(index).or_default() += 1;
                }
            })?;
            todo.retain(|index| {
                let list = &lists[*index];
                told.get(index) == Some(&(NODES as usize)) && !list.is_whole && list.nodes.len() < MOST_NODES
            });
        }
        Ok(lists)
    }
}

/// The program for each element: an address, and for lists where the pointer to the next node is, and the node to stop at.
fn program(btf: &Btf<'_>, follows: bool) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let mut p = Assembler::default();
    let (end, again) = (p.label(), p.label());
    p.load(Width::Eight, R6, R1, f.pointer("bpf_iter__bpf_map_elem.value")?);
    p.load(Width::Eight, R8, R1, f.pointer("bpf_iter__bpf_map_elem.key")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__bpf_map_elem.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    // After the last element, the program runs once more without one.
    p.jump_if(R6, If::Equal, 0, end);
    p.jump_if(R8, If::Equal, 0, end);
    p.clear_record(PAIR);
    p.load(Width::Four, R9, R8, 0);
    p.store(Width::Eight, FRAME, RECORD, R9);
    p.load(Width::Eight, R8, R6, 0);
    p.jump_if(R8, If::Equal, 0, end);
    if follows {
        p.load(Width::Eight, R9, R6, 16);
        p.store(Width::Eight, FRAME, STOP, R9);
        p.load(Width::Eight, R9, R6, 8);
        p.set(R6, NODES);
        p.place(again);
        p.copy(R3, R8);
        p.add_register(R3, R9);
        p.read_from_r3(RECORD + 8, 8);
        p.load(Width::Eight, R8, FRAME, RECORD + 8);
        p.jump_if(R8, If::Equal, 0, end);
    } else {
        p.read(RECORD + 8, 8, R8, 0);
    }
    p.write_record(R7, PAIR);
    if follows {
        // The node to stop at is told of too: the list was followed to its end.
        p.load(Width::Eight, R3, FRAME, STOP);
        p.jump_if_equal(R8, R3, end);
        p.add(R6, -1);
        p.jump_if(R6, If::NotEqual, 0, again);
    }
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("bpf_iter__bpf_map_elem"))
}
