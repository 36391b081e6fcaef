//! The command: histories from files, the topic from a dump or from Kafka.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Write as _},
    path::Path,
};

use super::{Loader, Log, Options, Report, Row, Source, Story, judge};
use crate::{
    cli::{DumpSettings, VerifySettings},
    dump,
    outcome::{Outcome, could_not_run},
};

/// Lines of a client's history that a story shows, before and after what was seen.
const AROUND: (usize, usize) = (5, 2);
const BUFFER: usize = 1 << 20;

/// Judges and prints.
pub fn run(settings: &VerifySettings) -> Outcome {
    match verify(settings) {
        Ok(report) if report.held => Outcome::Held,
        Ok(_) => Outcome::Broken,
        Err(why) => could_not_run(&why),
    }
}

fn verify(settings: &VerifySettings) -> Result<Report, String> {
    let log = log(settings)?;
    let open = |path: &Path| -> Result<Source<'static>, String> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Source { name: path.display().to_string(), lines: Box::new(BufReader::with_capacity(BUFFER, file)) })
    };
    let histories = settings.history.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    let VerifySettings { expect_no_close, late_answers, ref fault_at, .. } = *settings;
    let options = Options { expect_no_close, late_answers, fault_at: fault_at.clone() };
    let mut report = judge(histories, log, options)?;
    for (file, path) in settings.history.iter().enumerate() {
        let of_file = |story: &&mut Story| story.scene.file as usize == file && story.scene.line > 0;
        let stories: Vec<_> = report.stories.iter_mut().filter(of_file).collect();
        if !stories.is_empty() {
            quote(path, stories).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    let text = if settings.json {
        serde_json::to_string(&report).map_err(|error| format!("the result cannot be written: {error}"))?
    } else {
        report.to_string()
    };
    writeln!(io::stdout(), "{text}").map_err(|error| format!("the result cannot be written: {error}"))?;
    Ok(report)
}

fn log(settings: &VerifySettings) -> Result<Log, String> {
    let mut loader = Loader::default();
    for path in &settings.dump {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        let file = File::open(path).map_err(|error| failed(&error))?;
        let mut lines = BufReader::with_capacity(BUFFER, file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(|error| failed(&error))? > 0 {
            let row: Row<'_> = serde_json::from_slice(&line).map_err(|error| failed(&error))?;
            loader.add(&row).map_err(|why| failed(&why))?;
            line.clear();
        }
        loader.next_dump();
    }
    if let Some(kafka) = &settings.kafka {
        let asked = DumpSettings {
            kafka: kafka.clone(),
            topic: settings.topic.clone(),
            kafka_property: settings.kafka_property.clone(),
        };
        dump::each(&asked, |line| loader.add(&Row::from(&line)).map_err(io::Error::other))?;
    }
    Ok(loader.finish())
}

/// Shows what the client of each story did just before and after.
fn quote(path: &Path, mut stories: Vec<&mut Story>) -> io::Result<()> {
    let mut before: Vec<VecDeque<String>> = stories.iter().map(|_| VecDeque::new()).collect();
    let mut lines = BufReader::with_capacity(BUFFER, File::open(path)?);
    let (mut line, mut number) = (String::new(), 0);
    while lines.read_line(&mut line)? > 0 {
        number += 1;
        for (story, before) in stories.iter_mut().zip(&mut before) {
            if !line.contains(&format!("\"c\":{},", story.scene.client)) {
                continue;
            }
            if number <= story.scene.line {
                before.push_back(line.trim_end().to_owned());
                if before.len() > AROUND.0 + 1 {
                    before.pop_front();
                }
            } else if story.history.len() < AROUND.1 {
                story.history.push(line.trim_end().to_owned());
            }
        }
        line.clear();
    }
    for (story, before) in stories.into_iter().zip(before) {
        let after = std::mem::replace(&mut story.history, before.into());
        story.history.extend(after);
    }
    Ok(())
}
