//! What the fuzzer found worth keeping, run as an ordinary test, as it is and with seeded changes: nothing of it panics, and
//! what must hold of it does. `TIELINE_ROUNDS=n` makes n times as many changes.

#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::path::Path;
use tieline_testkit::sim::{Rng, rounds};

/// Changed copies of each file, for each round.
const CHANGED: usize = 100;

#[test]
fn everything_in_the_corpus_and_near_it_is_read() {
    let rounds = rounds(1);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut rng = Rng::new(1);
    for (name, target) in targets::TARGETS {
        let folder = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut paths: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
        paths.sort();
        let files: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).expect("readable")).collect();
        assert!(!files.is_empty(), "{name} has nothing");
        for (path, bytes) in paths.iter().zip(&files) {
            run(*target, bytes, path);
            for _ in 0..CHANGED * rounds {
                let other = rng.pick(&files).clone();
                run(*target, &changed(bytes, &other, &mut rng), path);
            }
        }
    }
}

fn run(target: targets::Target, bytes: &[u8], path: &Path) {
    let run = std::panic::catch_unwind(|| target(bytes));
    assert!(run.is_ok(), "{} became {:?}", path.display(), String::from_utf8_lossy(bytes));
}

/// A few changes: bytes of another kind, parts left out, doubled, or taken from another file.
fn changed(bytes: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
    const ODD: &[&[u8]] = &[b"\0", b"\xff", b"\"", b"<", b"&", b"\\u0000", b"\xc2\xa0", b"%", b".", b"@", b"9", b"\n"];
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len() + 1);
        let end = at + rng.below(bytes.len() - at + 1);
        match rng.below(4) {
            0 => drop(bytes.splice(at..at, rng.pick(ODD).iter().copied())),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ => {
                let from = rng.below(other.len() + 1);
                drop(bytes.splice(at..end, other[from..].iter().copied()));
            }
        }
    }
    bytes
}
