//! Counters of readers, over their restarts: a reader begins at zero, and the one before may have ended because of what it
//! counted.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::exposition::{Family, Sample};

/// Counters of all readers so far.
#[derive(Debug, Default)]
pub(super) struct Carried(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Which start of the reader the figures are of.
    start: Option<u32>,
    /// What those before have counted.
    before: FxHashMap<Series, f64>,
    /// What all have counted, as it was shown last.
    shown: Vec<Family>,
}

/// The name of the family, what the sample has at its end, and its labels.
type Series = (String, String, Vec<(String, String)>);

fn series(family: &Family, sample: &Sample) -> Series {
    (family.name.clone(), sample.suffix.clone(), sample.labels.clone())
}

impl Carried {
    /// The figures of this start of the reader, with what those before have counted.
    pub(super) fn of_start(&self, start: Option<u32>, mut families: Vec<Family>) -> Vec<Family> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |state: &State| {
            let samples = state.shown.iter().flat_map(|family| family.samples.iter().map(move |one| (family, one)));
            samples.map(|(family, sample)| (series(family, sample), sample.value)).collect::<FxHashMap<_, _>>()
        };
        if state.start != start {
            state.before = shown(&state);
            state.start = start;
        }
        // Of two answers, the older one can come last.
        let last = shown(&state);
        for family in families.iter_mut().filter(|family| family.is_of_start) {
            let mut before = state.before.clone();
            before.retain(|(name, ..), _| *name == family.name);
            let now = std::mem::take(&mut family.samples);
            for mut sample in now {
                let series = series(family, &sample);
                let sum = sample.value + before.remove(&series).unwrap_or(0.0);
                sample.value = last.get(&series).map_or(sum, |last| last.max(sum));
                family.samples.push(sample);
            }
            let mut rest: Vec<_> = before.into_iter().collect();
            rest.sort_by(|(one, _), (other, _)| one.cmp(other));
            let rest = rest.into_iter().map(|((_, suffix, labels), value)| Sample { suffix, labels, value });
            family.samples.extend(rest);
        }
        state.shown = families.iter().filter(|family| family.is_of_start).cloned().collect();
        families
    }

    /// The figures where no reader answers.
    pub(super) fn last(&self) -> Vec<Family> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).shown.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Kind;

    fn figures(counts: &[(&str, f64)], gauge: f64) -> Vec<Family> {
        let mut counter = Family::new(Kind::Counter, "a_things", "Things").of_start();
        for (kind, count) in counts {
            counter.push("", &[("kind", kind)], *count);
        }
        let mut seconds = Family::new(Kind::Histogram, "a_seconds", "How long").of_start();
        seconds.push_histogram(&[], &[(1.0, 1)], counts.len() as u64, 0.5);
        vec![counter, seconds, Family::new(Kind::Gauge, "a_gauge", "Now").with(&[], gauge)]
    }

    fn values(families: &[Family]) -> Vec<f64> {
        families.iter().flat_map(|family| &family.samples).map(|sample| sample.value).collect()
    }

    #[test]
    fn what_a_reader_has_counted_the_next_goes_on_from() {
        let carried = Carried::default();
        assert_eq!(carried.last(), []);
        let first = carried.of_start(Some(1), figures(&[("a", 5.0), ("b", 7.0)], 3.0));
        assert_eq!(values(&first), [5.0, 7.0, 1.0, 2.0, 0.5, 2.0, 3.0]);
        // An answer that is overtaken takes nothing back.
        let late = carried.of_start(Some(1), figures(&[("a", 4.0), ("b", 8.0)], 2.0));
        assert_eq!(values(&late), [5.0, 8.0, 1.0, 2.0, 0.5, 2.0, 2.0]);
        assert_eq!(values(&carried.last()), [5.0, 8.0, 1.0, 2.0, 0.5, 2.0]);
        // The next has not seen one of both kinds yet.
        let next = carried.of_start(Some(2), figures(&[("a", 2.0)], 9.0));
        assert_eq!(values(&next), [7.0, 8.0, 2.0, 3.0, 1.0, 3.0, 9.0]);
        let third = carried.of_start(Some(3), figures(&[("b", 1.0), ("c", 1.0)], 9.0));
        assert_eq!(values(&third), [9.0, 1.0, 7.0, 3.0, 5.0, 1.5, 5.0, 9.0]);
        let of = |family: &Family| family.samples.iter().map(|sample| sample.labels[0].1.clone()).collect::<Vec<_>>();
        assert_eq!(of(&third[0]), ["b", "c", "a"]);
    }
}
