//! What a power cut may leave on a disk that keeps its promises badly: every image is the state before, the one after, or
//! refused.

use proptest::prelude::*;

use super::*;

/// Two generations of a state of some blocks: all that may be more or less permissive differs, and little else.
fn generations() -> (Vec<u8>, Vec<u8>) {
    let mut before = standing();
    before.lock = None;
    before.nodes = (0..60).map(|number| entry(&format!("n{number}"), &format!("node {number}"))).collect();
    before.grants = (0..40_u8)
        .map(|number| GrantAhead { id: [number; 16], ..grant(&format!("n{number}"), Origin::Listed) })
        .collect();
    let mut after = before.clone();
    after.grants.iter_mut().for_each(|grant| grant.uses_left -= 1);
    after.refusals[1].kind = RefusalKind::Block;
    after.nodes.pop();
    after.lock = standing().lock;
    let write = |generation, standing| format::write(Generation(generation), HOME, standing).expect("it is small");
    (write(17, &before), write(18, &after))
}

/// The same, of the same length: one use of one grant.
fn generations_of_one_length() -> (Vec<u8>, Vec<u8>) {
    let before = Standing { lock: None, ..standing() };
    let mut after = before.clone();
    after.grants[0].uses_left -= 1;
    let write = |generation, standing| format::write(Generation(generation), HOME, standing).expect("it is small");
    let (before, after) = (write(17, &before), write(18, &after));
    assert_eq!(before.len(), after.len());
    (before, after)
}

/// Reading `image` gives one of these states, or nothing.
#[track_caller]
fn assert_never_between(image: &[u8], before: &[u8], after: &[u8], what: &str) {
    match read(image, HOME) {
        Ok(found) => {
            let whole = [before, after].into_iter().find(|whole| read(whole, HOME).as_ref() == Ok(&found));
            assert_eq!(whole, Some(image), "{what}: it is read as what it is not");
        }
        Err(error) => assert!(matches!(error, Unreadable::Damaged(_)), "{what}: {error}"),
    }
}

#[test]
fn cut_off_zeroed_and_torn_images_are_one_of_two_states_or_refused() {
    for (before, after) in [generations(), generations_of_one_length()] {
        let mut refused = 0;
        let mut judge = |image: &[u8], what: &str| {
            assert_never_between(image, &before, &after, what);
            refused += usize::from(read(image, HOME).is_err());
        };
        // Each length in a file of several blocks would take seconds: the ends, and a prime apart.
        let lengths = (0..after.len()).filter(|at| at % 61 == 0 || *at < 200 || after.len() - at < 200);
        for at in lengths {
            judge(&after[..at], "cut off");
            judge(&[&after[..at], &vec![0; after.len() - at]].concat(), "a tail of zeros");
            judge(&[&after[..at], before.get(at..).unwrap_or_default()].concat(), "the tail of the one before");
            judge(&[&before[..at.min(before.len())], after.get(at..).unwrap_or_default()].concat(), "its head");
        }
        for block in [64, 512, 4096] {
            for from in (0..after.len()).step_by(block) {
                let mut image = after.clone();
                image.iter_mut().skip(from).take(block).for_each(|byte| *byte = 0);
                judge(&image, "zeroed");
            }
        }
        judge(&before, "before");
        judge(&after, "after");
        assert!(refused > 1000, "{refused}");
    }
}

/// `state.new` is whatever a power cut left of it.
#[test]
fn what_is_left_of_a_save_changes_nothing_and_is_removed() {
    let (before, after) = generations();
    let (_directory, path) = directory();
    drop(Store::create(&path, HOME).expect("a new state"));
    for left in [&after[..], &after[..after.len() / 2], &vec![0; after.len()], &before, b""] {
        fs::write(path.join("state"), &before).expect("it can be written");
        fs::write(path.join("state.new"), left).expect("it can be written");
        let (store, found) = Store::open(&path, HOME).expect("it is whole");
        assert_eq!((store.generation(), found), read(&before, HOME).expect("it is whole"));
        assert!(fs::read(path.join("state.new")).unwrap_or_default().is_empty());
    }
}

#[test]
fn an_image_that_is_refused_is_kept_and_nothing_is_begun_in_its_place() {
    let (_, after) = generations();
    let (_directory, path) = directory();
    drop(Store::create(&path, HOME).expect("a new state"));
    for image in [&after[..after.len() - 1], &after[..4096], b"", &[0; 4096]] {
        fs::write(path.join("state"), image).expect("it can be written");
        let error = Store::open(&path, HOME).expect_err("it is damaged");
        assert!(matches!(error, Error::Unreadable { source: Unreadable::Damaged(_), .. }), "{error}");
        assert!(matches!(Store::create(&path, HOME), Err(Error::Exists(_))));
        assert_eq!(fs::read(path.join("state")).expect("it is there"), image);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn blocks_of_two_generations_in_any_mixture_are_one_of_the_two_or_refused(
        from_after in proptest::collection::vec(any::<bool>(), 64),
        zeroed in proptest::collection::vec(proptest::bool::weighted(0.05), 64),
        block in proptest::sample::select(vec![512_usize, 1024, 4096]),
        length_of_after: bool,
        of_one_length: bool,
    ) {
        let (before, after) = if of_one_length { generations_of_one_length() } else { generations() };
        let length = if length_of_after { after.len() } else { before.len() };
        let image: Vec<u8> = (0..length)
            .map(|at| {
                let number = at / block % 64;
                let source = if from_after[number] { &after } else { &before };
                if zeroed[number] { 0 } else { source.get(at).copied().unwrap_or(0) }
            })
            .collect();
        assert_never_between(&image, &before, &after, "a mixture");
    }
}
