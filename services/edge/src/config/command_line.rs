//! clap over arguments and an environment that are both given as values. clap itself would read the process's
//! environment and stop at the first fault.

use std::{collections::BTreeMap, ffi::OsString};

use clap::{
    Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches,
    builder::Resettable,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use super::{
    faults::{Collector, Wrong},
    flags::{Flags, is_switch},
    values,
};

/// What the arguments turned out to be.
pub(super) enum Parsed {
    /// Settings. There may be faults all the same.
    Flags(Box<Flags>),
    /// Help or the version was asked for.
    Print(String),
    /// Nothing to go on with; the faults are noted.
    Nothing,
}

/// Whatever clap does not like is noted and taken out, so that the faults of all the rest are found too.
pub(super) fn parse(
    args: impl IntoIterator<Item = OsString>,
    environment: &BTreeMap<String, String>,
    faults: &mut Collector,
) -> Parsed {
    let mut args: Vec<String> = args.into_iter().map(|arg| text(arg, faults)).collect();
    let command = Flags::command().args_override_self(true).mut_args(|arg| arg.env(Resettable::Reset));
    for _ in 0..=args.len() {
        let error = match command.clone().try_get_matches_from(&args) {
            Ok(given) => {
                let args = with_environment(args, &given, environment, faults);
                let all = command.try_get_matches_from(args).and_then(|matches| Flags::from_arg_matches(&matches));
                return match all {
                    Ok(flags) => Parsed::Flags(Box::new(flags)),
                    Err(error) => {
                        faults.note_as("environment".to_owned(), in_one_line(&error));
                        Parsed::Nothing
                    }
                };
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::DisplayHelp => return Parsed::Print(help()),
            ErrorKind::DisplayVersion => return Parsed::Print(error.to_string()),
            _ => faults.note_as("command line".to_owned(), in_one_line(&error)),
        }
        if !take_out(&mut args, &error) {
            break;
        }
    }
    Parsed::Nothing
}

fn text(arg: OsString, faults: &mut Collector) -> String {
    arg.into_string().unwrap_or_else(|arg| {
        let lossy = arg.to_string_lossy().into_owned();
        let wrong = Wrong::new(format!("{lossy:?} is not UTF-8"), "write it in UTF-8");
        faults.note_as("command line".to_owned(), wrong);
        lossy
    })
}

/// Removes the argument that `error` is about, and its value if that stands behind it. False if there is none.
fn take_out(args: &mut Vec<String>, error: &clap::Error) -> bool {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let flag = context(ContextKind::InvalidArg).and_then(|text| text.split([' ', '=', '[']).next());
    let flag = flag.filter(|flag| flag.starts_with('-'));
    let Some(wanted) = flag.or(context(ContextKind::InvalidValue)) else { return false };
    let is_wanted =
        |arg: &String| arg.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    let Some(at) = args.iter().skip(1).position(is_wanted).map(|at| at + 1) else { return false };
    let is_value = |next: &String| !next.starts_with('-') && !matches!(next.as_str(), "check-config" | "healthcheck");
    let value_follows = flag.is_some() && !args[at].contains('=') && args.get(at + 1).is_some_and(is_value);
    args.drain(at..=at + usize::from(value_follows));
    true
}

/// One or two lines a flag. It shows variables, so it comes from the command that still has them, without their values.
fn help() -> String {
    let mut command = Flags::command().next_line_help(true).mut_args(|arg| arg.hide_env_values(true));
    command.render_help().to_string()
}

/// Puts what only the environment says in front of the arguments, as arguments.
fn with_environment(
    mut args: Vec<String>,
    given: &ArgMatches,
    environment: &BTreeMap<String, String>,
    faults: &mut Collector,
) -> Vec<String> {
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
                added.push(format!("--{long}"));
            }
        } else {
            added.extend(separated(arg, value).map(|value| format!("--{long}={value}")));
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

/// clap's first line, and its guess at what was meant.
fn in_one_line(error: &clap::Error) -> Wrong {
    let text = error.to_string();
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let problem = lines().next().unwrap_or("cannot be read");
    let guess = lines().filter_map(|line| line.strip_prefix("tip: ")).find(|tip| tip.contains("similar"));
    Wrong::new(problem.strip_prefix("error: ").unwrap_or(problem), guess.unwrap_or("see --help"))
}
