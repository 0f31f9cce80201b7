//! Settings of the real binary: where they come from, and what it says about wrong ones.

use crate::support::{Ended, Place};

#[test]
fn the_environment_wins_over_the_file_over_the_default() {
    let place = Place::new();
    std::fs::write(
        place.path().join("tieline.toml"),
        "listen = \"127.0.0.1:1\"\nlog = \"warn\"\nwebhook_disable_after = 7\n",
    )
    .unwrap();
    std::fs::write(place.path().join("other.toml"), "log = \"debug\"\nsecret_key = \"hush\"\n").unwrap();
    let shown = place.run(&["config"]).ok();
    for line in [
        "# TIELINE_LISTEN (environment)\nlisten = \"127.0.0.1:0\"",
        "# TIELINE_LOG (tieline.toml)\nlog = \"warn\"",
        "# TIELINE_WEBHOOK_DISABLE_WINDOW (default)\nwebhook_disable_window = \"72h\"",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    for args in [&["config", "--config", "other.toml"][..], &["--config", "other.toml", "config"]] {
        let shown = place.run(args).ok();
        assert!(shown.contains("# TIELINE_LOG (other.toml)\nlog = \"debug\""), "{shown}");
        assert!(shown.contains("(hidden)") && !shown.contains("hush"), "{shown}");
    }
    let ended: Ended = place.command(&["config"]).env("TIELINE_CONFIG", "other.toml").output().unwrap().into();
    assert!(ended.ok().contains("log = \"debug\""));
}

#[test]
fn what_is_wrong_is_one_line() {
    let place = Place::new();
    std::fs::write(place.path().join("tieline.toml"), "lissten = \"127.0.0.1:1\"\n").unwrap();
    assert_eq!(
        place.run(&["serve"]).refusal(),
        "tieline.toml: there is no setting \"lissten\" (did you mean listen?); `tieline config` lists them"
    );
    std::fs::remove_file(place.path().join("tieline.toml")).unwrap();
    let with =
        |name: &str, value: &str| Ended::from(place.command(&["serve"]).env(name, value).output().unwrap()).refusal();
    assert_eq!(
        with("TIELINE_DATABASE_URL", "mysql://u:hush@h/d"),
        "TIELINE_DATABASE_URL must be sqlite:<path> or postgres://user@host/name"
    );
    assert_eq!(
        with("TIELINE_SECRET_KEY", "hush"),
        "TIELINE_SECRET_KEY: the secret key must be 32 bytes in base64, or 64 hexadecimal digits"
    );
    let levels =
        "TIELINE_LOG must be error, warn, info, debug or trace, also per module as in info,tieline_delivery=debug";
    assert_eq!(with("TIELINE_LOG", "loud"), format!("{levels}, not \"loud\""));
    assert_eq!(with("TIELINE_LOG", "info,x=loud"), format!("{levels}, not \"info,x=loud\""));
    assert_eq!(
        with("TIELINE_WEBHOOK_RETRY_SCHEDULE", "5s,5x"),
        "TIELINE_WEBHOOK_RETRY_SCHEDULE is refused: \"5x\" is not a duration such as 200ms, 5s, 5m, 2h or 3d"
    );
    assert!(
        with("TIELINE_WEBHOOK_ALLOW_HOSTS", "a/b").starts_with("TIELINE_WEBHOOK_ALLOW_HOSTS is refused: \"a/b\" is")
    );
    assert_eq!(
        place.run(&["serve", "--config", "none.toml"]).refusal(),
        "cannot read none.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn an_unknown_variable_warns_and_leaves_the_answer_alone() {
    let place = Place::new();
    let ended: Ended = place
        .command(&["tenant", "create", "--slug", "acme", "--json"])
        .env("TIELINE_LISTENN", "x")
        .output()
        .unwrap()
        .into();
    assert_eq!(ended.stderr.lines().count(), 1);
    assert!(
        ended.stderr.contains("TIELINE_LISTENN is no setting and is ignored (did you mean TIELINE_LISTEN?)"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.json()["slug"], "acme");
}

/// What operators read names no setting that there is not.
#[test]
fn every_variable_of_the_documents_is_known() {
    let shown = Place::new().run(&["config"]).ok();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files: Vec<_> = ["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root.join(name)).into();
    for folder in ["docs", "deploy"] {
        files.extend(std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    for file in files.into_iter().filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("TIELINE_") {
            let end = text[at..].find(|c: char| !c.is_ascii_uppercase() && c != '_' && !c.is_ascii_digit());
            let name = text[at..].get(..end.unwrap_or(text.len() - at)).unwrap();
            let others = ["TIELINE_KEY", "TIELINE_IMPORT_TOKEN", "TIELINE_CONFIG"];
            let known = name.ends_with('_') || others.contains(&name) || shown.contains(&format!("# {name} ("));
            assert!(known, "{} names {name}, which is no setting", file.display());
        }
    }
}

#[test]
fn the_version_is_printed() {
    assert_eq!(Place::new().run(&["--version"]).ok(), format!("tieline {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_arguments_are_one_line_and_help_is_help() {
    let place = Place::new();
    for (args, line) in [
        (&["tenant", "create"][..], "the following required arguments were not provided: --slug <SLUG>; see --help"),
        (&["juggle"], "unrecognized subcommand 'juggle'; see --help"),
        (
            &["key", "create", "--mode", "x"],
            "invalid value 'x' for '--mode <MODE>' [possible values: live, test]; see --help",
        ),
    ] {
        assert_eq!(place.run(args).refusal(), line);
    }
    let help = place.run(&["--help"]).ok();
    for command in [
        "serve", "demo", "tenant", "key", "user", "listen", "openapi", "doctor", "backup", "restore", "verify",
        "migrate", "config",
    ] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command} is not in {help}");
    }
}
