//! A process that is killed while it saves, for real: what it leaves is the state before or the one after.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use super::*;

/// What people and nodes do, each of which has to be there as a whole after a crash, or not at all.
fn changes() -> Vec<(&'static str, Standing, Standing)> {
    let free = Standing { lock: None, ..standing() };
    let change = |change: fn(&mut Standing)| {
        let mut after = free.clone();
        change(&mut after);
        after
    };
    vec![
        ("a lock, which ends what was approved ahead", free.clone(), Standing { grants: vec![], ..standing() }),
        ("a grant ahead", change(|after| after.grants.clear()), free.clone()),
        ("one use of a grant ahead", free.clone(), change(|after| after.grants[0].uses_left -= 1)),
        ("its last use", free.clone(), change(|after| after.grants.clear())),
        ("a listed node", change(|after| after.nodes.truncate(1)), free.clone()),
        ("a node that is forgotten", free.clone(), change(|after| after.nodes.truncate(1))),
    ]
}

/// Begins a child that runs the ignored test of this name, and tells it this.
fn child(test: &str, told: &str) -> Child {
    let name = format!("state::tests::crashes::{test}");
    let mut child = Command::new("/proc/self/exe")
        .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program starts again");
    child.stdin.take().expect("piped").write_all(told.as_bytes()).expect("it reads");
    child
}

/// What [`child`] told: a directory and numbers.
fn told() -> (PathBuf, Vec<usize>) {
    let mut told = String::new();
    io::stdin().read_to_string(&mut told).expect("what to do");
    let mut lines = told.lines();
    let path = lines.next().expect("a directory").into();
    (path, lines.map(|line| line.parse().expect("a number")).collect())
}

const STEPS: [Step; 6] =
    [Step::CreateNew, Step::WriteNew, Step::SyncNew, Step::Rename, Step::SyncDirectory, Step::Reserve];

#[test]
#[ignore = "is killed: the test below begins it"]
fn process_that_is_killed_before_a_step() {
    let (path, numbers) = told();
    let [change, step, reserved] = numbers[..] else { panic!("three numbers") };
    let (mut store, _) = Store::open(&path, HOME).expect("it is whole");
    if reserved == 0 {
        store.directory.faults.fail_before.set(Some(Step::Reserve));
        store.save(&changes()[change].1).expect("the disk works");
        store.directory.faults.fail_before.set(None);
    }
    store.directory.faults.kill_before.set(Some(STEPS[step]));
    drop(store.save(&changes()[change].2));
    panic!("it was not killed");
}

#[test]
fn killed_before_any_step_of_a_save_a_process_leaves_the_state_before_or_after() {
    for (number, (what, before, after)) in changes().into_iter().enumerate() {
        for (step, killed_before) in STEPS.into_iter().enumerate() {
            // With space that was kept for it a save makes no file, but for the next one.
            let reserved = usize::from(number % 2 == 0 && killed_before != Step::CreateNew);
            let (_directory, path) = directory();
            let (mut store, _) = Store::create(&path, HOME).expect("a new state");
            store.save(&before).expect("the disk works");
            drop(store);
            let mut child = child(
                "process_that_is_killed_before_a_step",
                &format!("{}\n{number}\n{step}\n{reserved}\n", path.display()),
            );
            let status = child.wait().expect("it ends");
            assert_eq!(status.signal(), Some(9), "{what}, {killed_before:?}: {status}");
            let (store, found) = Store::open(&path, HOME).expect("it is whole");
            let renamed = matches!(killed_before, Step::SyncDirectory | Step::Reserve);
            assert_eq!(found, if renamed { after.clone() } else { before.clone() }, "{what}, {killed_before:?}");
            let saved_before = if reserved == 1 { 2 } else { 3 };
            assert_eq!(store.generation().get(), saved_before + u64::from(renamed), "{what}, {killed_before:?}");
        }
    }
}

#[test]
#[ignore = "is killed: the test below begins it"]
fn process_that_saves_until_it_is_killed() {
    let (path, _) = told();
    let (mut store, _) = Store::open(&path, HOME).expect("it is whole");
    for (before, after) in changes().into_iter().map(|(_, before, after)| (before, after)).cycle() {
        for standing in [before, after] {
            let generation = store.save(&standing).expect("the disk works");
            writeln!(io::stdout(), "saved {generation}").expect("somebody reads");
        }
    }
}

/// At no step that anybody chose.
#[test]
fn killed_at_any_time_a_process_leaves_a_state_that_it_saved_and_none_before_the_last_it_told_of() {
    for saves in 1..=12 {
        let (_directory, path) = directory();
        drop(Store::create(&path, HOME).expect("a new state"));
        let mut child = child("process_that_saves_until_it_is_killed", &format!("{}\n", path.display()));
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| line.split("saved ").nth(1)?.parse::<u64>().ok()).nth(saves - 1);
        child.kill().expect("it runs");
        assert_eq!(child.wait().expect("it ends").signal(), Some(9));
        let (store, found) = Store::open(&path, HOME).expect("it is whole");
        let generation = store.generation().get();
        assert!(generation >= told.expect("it told of a save"), "{generation} {told:?}");
        let states: Vec<Standing> = changes().into_iter().flat_map(|(_, before, after)| [before, after]).collect();
        let number = usize::try_from(generation - 2).expect("small") % states.len();
        assert_eq!(found, states[number], "generation {generation}");
    }
}
