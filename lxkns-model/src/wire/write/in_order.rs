//! Text that several threads make and one writes.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;

/// More make it faster than anyone can read it.
const MOST_THREADS: usize = 4;

/// Has `make` put the text of each of `items` into an empty buffer, on several threads, and gives the texts to `write` in
/// the order of the items. There are at most three texts for each thread at a time.
///
/// # Errors
///
/// The first one of `make` or `write` in that order. Nothing that comes after it is written.
pub(super) fn in_order<T: Sync>(
    items: &[T],
    make: impl Fn(&T, &mut Vec<u8>) -> io::Result<()> + Sync,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS);
    let make = &make;
    thread::scope(|scope| {
        // Each of them, this one included, takes every so-many-th item.
        let others: Vec<_> = (1..threads)
            .map_while(|first| {
                let (made, texts) = mpsc::sync_channel(1);
                let (back, written) = mpsc::channel::<Vec<u8>>();
                let work = move || {
                    for item in items.iter().skip(first).step_by(threads) {
                        let mut text = written.try_recv().unwrap_or_default();
                        text.clear();
                        let result = make(item, &mut text);
                        // Where nobody wants it, an earlier one has failed.
                        if made.send(result.map(|()| text)).is_err() {
                            return;
                        }
                    }
                };
                thread::Builder::new().name("lxkns-json".into()).spawn_scoped(scope, work).ok()?;
                Some((texts, back))
            })
            .collect();
        let mut own = Vec::new();
        for (n, item) in items.iter().enumerate() {
            // Where no further thread could be had, this one does its part.
            let other = (n % threads).checked_sub(1).and_then(|other| others.get(other));
            match other.and_then(|(texts, back)| Some((texts.recv().ok()?, back))) {
                Some((text, back)) => {
                    let text = text?;
                    write(&text)?;
                    // It may have made its last one.
                    let _ = back.send(text);
                }
                None => {
                    own.clear();
                    make(item, &mut own)?;
                    write(&own)?;
                }
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(item: &usize, text: &mut Vec<u8>) -> io::Result<()> {
        assert!(text.is_empty());
        text.extend_from_slice(format!("{item},").as_bytes());
        Ok(())
    }

    #[test]
    fn texts_are_written_in_order() {
        for count in [0, 1, 2, 3, 100, 1001] {
            let items: Vec<_> = (0..count).collect();
            let mut all = Vec::new();
            in_order(&items, number, |text| {
                all.extend_from_slice(text);
                Ok(())
            })
            .unwrap();
            let expected: String = items.iter().map(|item| format!("{item},")).collect();
            assert_eq!(String::from_utf8(all).unwrap(), expected);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let items: Vec<_> = (0..100).collect();
        let failing = |item: &usize, text: &mut Vec<u8>| match item {
            40.. => Err(io::Error::other(item.to_string())),
            _ => number(item, text),
        };
        let mut written = 0;
        let made = in_order(&items, failing, |_| {
            written += 1;
            Ok(())
        });
        assert_eq!((made.unwrap_err().to_string().as_str(), written), ("40", 40));

        let mut left = 7;
        let full = |_: &[u8]| match left {
            0 => Err(io::ErrorKind::StorageFull.into()),
            _ => {
                left -= 1;
                Ok(())
            }
        };
        assert_eq!(in_order(&items, number, full).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
