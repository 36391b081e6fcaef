//! clap over arguments and an environment that are both given as values. clap itself would read the process's
//! environment and stop at the first fault.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{
    Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, builder::Resettable, error::ErrorKind,
    parser::ValueSource,
};

use super::{
    faults::{Collector, Wrong},
    flags::{Flags, is_switch},
    values,
};

/// `Err` carries help or the version, asked for.
pub(super) fn parse(
    args: Vec<OsString>,
    environment: &BTreeMap<String, String>,
    faults: &mut Collector,
) -> Result<Flags, String> {
    let command = Flags::command().mut_args(|arg| arg.env(Resettable::Reset));
    let lenient = command.clone().ignore_errors(true);
    if let Err(error) = command.try_get_matches_from(args.clone()) {
        match error.kind() {
            ErrorKind::DisplayHelp => return Err(help()),
            ErrorKind::DisplayVersion => return Err(error.to_string()),
            _ => faults.note_as("command line".to_owned(), in_one_line(&error)),
        }
    }
    // Whatever clap did not like has been noted; what it can read is read, so that all faults come together.
    let read = |args: Vec<OsString>| lenient.clone().try_get_matches_from(args).map_err(|error| error.to_string());
    let given = read(args.clone())?;
    let args = with_environment(args, &given, environment, faults);
    Flags::from_arg_matches(&read(args)?).map_err(|error| error.to_string())
}

/// The help shows variables, so it comes from the command that still has them.
fn help() -> String {
    Flags::command().mut_args(|arg| arg.hide_env_values(true)).render_long_help().to_string()
}

/// Puts what only the environment says in front of the arguments, as arguments.
fn with_environment(
    mut args: Vec<OsString>,
    given: &ArgMatches,
    environment: &BTreeMap<String, String>,
    faults: &mut Collector,
) -> Vec<OsString> {
    let command = Flags::command();
    let mut added = Vec::new();
    for arg in command.get_arguments() {
        let (Some(long), Some(variable)) = (arg.get_long(), arg.get_env().and_then(|name| name.to_str())) else {
            continue;
        };
        let Some(value) = environment.get(variable) else { continue };
        if given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            continue;
        }
        if is_switch(arg) {
            if faults.take(long, value, values::switch) {
                added.push(format!("--{long}").into());
            }
        } else {
            added.extend(separated(arg, value).map(|value| OsString::from(format!("--{long}={value}"))));
        }
    }
    let after_name = usize::from(!args.is_empty());
    args.splice(after_name..after_name, added);
    args
}

/// A list's entries; a property's value may hold commas, so those stand on lines of their own.
fn separated<'a>(arg: &Arg, value: &'a str) -> impl Iterator<Item = &'a str> {
    let separator = match arg.get_action() {
        ArgAction::Append if arg.get_id() == "kafka_property" => Some('\n'),
        ArgAction::Append => Some(','),
        _ => None,
    };
    let entries = value.split(move |c| Some(c) == separator);
    entries.map(move |entry| if separator.is_some() { entry.trim() } else { entry }).filter(|entry| !entry.is_empty())
}

fn in_one_line(error: &clap::Error) -> Wrong {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let problem = lines.next().unwrap_or("cannot be read");
    let tip = lines.find_map(|line| line.strip_prefix("tip: "));
    Wrong::new(problem.strip_prefix("error: ").unwrap_or(problem), tip.unwrap_or("see --help"))
}
