//! What the fuzzer found worth keeping, run as an ordinary test: nothing of it panics, and what must hold of it does.

#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::path::Path;

#[test]
fn everything_in_the_corpus_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let files = std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut count = 0;
        for file in files {
            let file = file.expect("a file").path();
            let bytes = std::fs::read(&file).expect("readable");
            let run = std::panic::catch_unwind(|| target(&bytes));
            assert!(run.is_ok(), "{}", file.display());
            count += 1;
        }
        assert!(count > 0, "{name} has nothing");
    }
}
