//! Values that lie in files of their own, as Secrets are mounted: `${directory:DIRECTORY:FILE}` stands for what that file
//! says. It is the notation of Kafka's own DirectoryConfigProvider, so one properties file serves Java's clients too.

use std::{fs, path::Path};

use super::faults::Wrong;

const OPEN: &str = "${directory:";

/// A value with its references replaced, and the files that they named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) value: String,
    pub(super) files: Vec<String>,
}

/// Reads what `value` refers to. The fault names the file, never what is in it.
pub(super) fn resolve(value: &str) -> Result<Resolved, Wrong> {
    let mut resolved = Resolved::default();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(OPEN) {
        let (reference, after) = after.split_once('}').ok_or_else(|| Wrong::new("${directory: without }", INSTEAD))?;
        let (directory, file) = reference.rsplit_once(':').ok_or_else(|| Wrong::new("no file named", INSTEAD))?;
        if directory.is_empty() || file.is_empty() || file.contains('/') {
            return Err(Wrong::new("no directory, or no file in it", INSTEAD));
        }
        let path = Path::new(directory).join(file).to_string_lossy().into_owned();
        let content = fs::read_to_string(&path)
            .map_err(|error| Wrong::new(format!("{path:?} cannot be read: {error}"), "give a readable UTF-8 file"))?;
        resolved.value.push_str(before);
        // No password ends in a line's end; files that people write do.
        resolved.value.push_str(content.trim_end_matches(['\r', '\n']));
        resolved.files.push(path);
        rest = after;
    }
    resolved.value.push_str(rest);
    Ok(resolved)
}

/// Whether a property only tells Java's clients how to read such references.
pub(super) fn is_for_java(key: &str) -> bool {
    key == "config.providers" || key.starts_with("config.providers.")
}

const INSTEAD: &str = "write ${directory:/path/of/a/directory:file}";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_reference_becomes_what_the_file_says() {
        let dir = std::env::temp_dir().join(format!("klatsch-references-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("user"), "al}ice").unwrap();
        fs::write(dir.join("password"), "${directory:/x:y}\r\n").unwrap();
        let dir = dir.to_str().unwrap();

        let value = format!("user=${{directory:{dir}:user}} ${{directory:{dir}:password}};");
        let resolved = resolve(&value).unwrap();
        assert_eq!(resolved.value, "user=al}ice ${directory:/x:y};", "what a file says is not looked at again");
        assert_eq!(resolved.files, [format!("{dir}/user"), format!("{dir}/password")]);
        assert_eq!(resolve("plain ${env:HOME}").unwrap().value, "plain ${env:HOME}");

        for bad in
            ["${directory:/x", "${directory:file}", "${directory::file}", "${directory:/x:}", "${directory:/x:../y}"]
        {
            assert!(resolve(bad).is_err(), "{bad}");
        }
        let Wrong(problem, _) = resolve(&format!("hunter2${{directory:{dir}:none}}")).unwrap_err();
        assert!(problem.contains("/none") && !problem.contains("hunter2"), "{problem}");
        fs::remove_dir_all(dir).unwrap();
    }
}
