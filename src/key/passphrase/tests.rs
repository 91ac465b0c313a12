use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::clock::Moment;
use crate::key::{Keyring, Selector};
use crate::peer::Peer;
use crate::peer::admission::{Admission, NotAdmitted, UuidPolicy};
use crate::request::Request;

const TEXT: &[u8] = b"h3kqt-0w8zn-5m2xr-vb7cy";

fn passphrase() -> Passphrase {
    Passphrase::new(TEXT.to_vec()).expect("printable")
}

fn small() -> Stretching {
    Stretching::new([7; 16], 8, 1, 1).expect("in range")
}

fn id() -> KeyId {
    stretching::key_id(&passphrase(), &small()).expect("8 KiB")
}

fn key_with(stretcher: Stretcher) -> PassphraseKey {
    PassphraseKey::open(passphrase(), small(), id(), stretcher).expect("the right one")
}

/// Derives as it should, and counts: how often, and how many at once.
#[derive(Default)]
struct Counts {
    derived: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

fn counting(counts: &Arc<Counts>) -> Stretcher {
    let counts = Arc::clone(counts);
    Stretcher::with(move |passphrase, stretching, node| {
        let running = counts.running.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(running, Ordering::SeqCst);
        counts.derived.fetch_add(1, Ordering::SeqCst);
        let key = stretching::node_key(passphrase, stretching, node);
        counts.running.fetch_sub(1, Ordering::SeqCst);
        key
    })
}

fn node(claim: &str, formerly: &[&str]) -> Node {
    let uuid = |claim: &str| NodeUuid::parse(claim).expect("printable");
    Node {
        uuid: uuid(claim),
        name: claim.into(),
        cluster: None,
        addresses: vec![],
        formerly: formerly.iter().map(|claim| uuid(claim)).collect(),
        bind_address: false,
        listed_by: crate::peer::ListedBy::Configuration,
    }
}

fn admit(node: Node, claim: &str, operation: Operation) -> Result<Admitted, NotAdmitted> {
    let networks = vec!["192.0.2.0/24".parse().expect("a network")];
    let request = Request::parse(operation, claim, vec![1]).expect("well-formed");
    let peer = Peer::plaintext("192.0.2.11:1".parse().expect("an address"));
    Admission::new(networks, [node], UuidPolicy::default()).admit(Moment::default(), request, peer)
}

fn admitted(claim: &str, formerly: &[&str], operation: Operation) -> Admitted {
    admit(node(claim, formerly), claim, operation).expect("admitted")
}

fn approved(claim: &str, formerly: &[&str], operation: Operation) -> Approved {
    Approved::for_test(admitted(claim, formerly, operation))
}

#[test]
fn another_passphrase_salt_or_parameter_is_refused_at_the_start() {
    let right = id();
    for (text, salt, memory, passes, lanes) in [
        (&b"h3kqt-0w8zn-5m2xr-vb7cz"[..], 7, 8, 1, 1),
        (TEXT, 8, 8, 1, 1),
        (TEXT, 7, 16, 1, 1),
        (TEXT, 7, 8, 2, 1),
        (TEXT, 7, 16, 1, 2),
    ] {
        let passphrase = Passphrase::new(text.to_vec()).expect("printable");
        let stretching = Stretching::new([salt; 16], memory, passes, lanes).expect("in range");
        let opened = PassphraseKey::open(passphrase, stretching, right, Stretcher::new());
        assert_eq!(opened.map(|_| ()), Err(NotTaken::OtherKeyId(right)));
    }
    assert!(PassphraseKey::open(passphrase(), small(), right, Stretcher::new()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn fifty_calls_that_wait_cost_one_derivation() {
    let counts = Arc::new(Counts::default());
    let key = Arc::new(key_with(counting(&counts)));
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let key = Arc::clone(&key);
            tokio::spawn(async move {
                key.prepare(&admitted("cp-1", &[], Operation::Unseal));
                let approved = approved("cp-1", &[], Operation::Unseal);
                key.keks(&approved).await.map(|keks| *keks.own().secret().expose())
            })
        })
        .collect();
    let mut keks = vec![];
    for call in calls {
        keks.push(call.await.expect("no panic").expect("KEKs"));
    }
    assert!(keks.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(counts.derived.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn nodes_and_keys_are_stretched_one_at_a_time() {
    let counts = Arc::new(Counts::default());
    let stretcher = counting(&counts);
    let keys = [key_with(stretcher.clone()), key_with(stretcher)];
    for key in &keys {
        for number in 0..10 {
            key.prepare(&admitted(&format!("node-{number}"), &["gone"], Operation::Unseal));
        }
    }
    for key in &keys {
        for number in 0..10 {
            let approved = approved(&format!("node-{number}"), &["gone"], Operation::Unseal);
            key.keks(&approved).await.expect("KEKs");
        }
    }
    assert_eq!(counts.derived.load(Ordering::SeqCst), 22, "ten nodes and one that is gone, twice");
    assert_eq!(counts.most.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_derived_for_who_is_not_listed_nor_for_another_key() {
    let counts = Arc::new(Counts::default());
    let key = key_with(counting(&counts));
    let reference = key.key();
    let keyring = Keyring::new(Box::new(key), vec![]);
    assert!(admit(node("cp-1", &[]), "mallory", Operation::Unseal).is_err(), "so there is no proof to prepare with");

    let admitted = admitted("cp-1", &[], Operation::Unseal);
    let provenance = Provenance::Passphrase(Stretching::new([8; 16], 8, 1, 1).expect("in range"));
    let other_salt = Selector::Opening(KeyReference { provenance, ..reference });
    let other_id = Selector::Opening(KeyReference { id: KeyId::from_bytes([0; 8]), ..reference });
    let other_source = Selector::Opening(KeyReference { provenance: Provenance::Credential, ..reference });
    for selector in [&other_salt, &other_id, &other_source] {
        keyring.prepare(&admitted, selector);
    }
    let approved = Approved::for_test(admitted);
    let unavailable = |keks: Result<Keks, Unavailable>| keks.map(|_| ()).expect_err("no key");
    assert_eq!(unavailable(keyring.keks(&approved, &other_salt).await), Unavailable::OtherParameters(reference.id));
    let unknown = KeyId::from_bytes([0; 8]);
    assert_eq!(unavailable(keyring.keks(&approved, &other_id).await), Unavailable::UnknownKey(unknown));
    assert_eq!(unavailable(keyring.keks(&approved, &other_source).await), Unavailable::UnknownKey(reference.id));
    assert_eq!(counts.derived.load(Ordering::SeqCst), 0);
    assert!(keyring.keks(&approved, &Selector::Opening(reference)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_seal_derives_twice_and_once_only() {
    let counts = Arc::new(Counts::default());
    let key = key_with(counting(&counts));
    let (seal, unseal) = (approved("cp-1", &["gone"], Operation::Seal), approved("cp-1", &[], Operation::Unseal));
    let sealing = key.keks(&seal).await.expect("KEKs");
    assert_eq!(counts.derived.load(Ordering::SeqCst), 2, "the former identifier seals nothing");
    let opening = key.keks(&unseal).await.expect("KEKs");
    key.keks(&seal).await.expect("KEKs");
    assert_eq!(counts.derived.load(Ordering::SeqCst), 2);
    assert_eq!(sealing.own().secret().expose(), opening.own().secret().expose());
}

#[tokio::test(start_paused = true)]
async fn a_node_key_that_comes_out_differently_seals_nothing() {
    for wrong in [0, 1] {
        let made = AtomicUsize::new(0);
        let key = key_with(Stretcher::with(move |passphrase, stretching, node| {
            let key = stretching::node_key(passphrase, stretching, node)?;
            let flip = u8::from(made.fetch_add(1, Ordering::SeqCst) == wrong);
            KeyBytes::try_fill(|flipped| {
                flipped.copy_from_slice(key.expose());
                flipped[31] ^= flip;
                Ok(())
            })
        }));
        let seal = approved("cp-1", &[], Operation::Seal);
        assert_eq!(key.keks(&seal).await.map(|_| ()), Err(Unavailable::Damaged(id())), "the {wrong}. one is wrong");
        assert!(key.keks(&seal).await.is_ok(), "and the next call begins anew");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_key_that_changed_gives_no_keks_and_is_derived_anew() {
    let counts = Arc::new(Counts::default());
    let key = key_with(counting(&counts));
    for operation in [Operation::Unseal, Operation::Seal] {
        let approved = approved("cp-1", &[], operation);
        for at in [0, 13, 31, 32, 63] {
            key.keks(&approved).await.expect("KEKs");
            let damaged = |bytes: &KeyBytes, at: Option<usize>| {
                let copied = KeyBytes::try_fill(|copy| {
                    copy.copy_from_slice(bytes.expose());
                    at.and_then(|at| copy.get_mut(at)).into_iter().for_each(|byte| *byte ^= 0x10);
                    Ok::<_, std::convert::Infallible>(())
                });
                let Ok(copied) = copied;
                copied
            };
            let found =
                key.0.kept().of(operation).get(&node("cp-1", &[]).uuid).and_then(|known| known.borrow().clone());
            let found = found.expect("kept").expect("derived");
            let changed =
                NodeKey { key: damaged(&found.key, Some(at)), check: damaged(&found.check, at.checked_sub(32)) };
            let (_done, known) = watch::channel(Some(Ok(Arc::new(changed))));
            key.0.kept().of(operation).insert(node("cp-1", &[]).uuid, known);
            assert_eq!(key.keks(&approved).await.map(|_| ()), Err(Unavailable::Damaged(id())), "byte {at}");
        }
        let before = counts.derived.load(Ordering::SeqCst);
        assert!(key.keks(&approved).await.is_ok());
        assert!(counts.derived.load(Ordering::SeqCst) > before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passphrase_salt_or_id_that_changed_in_memory_derives_nothing() {
    type Damage = fn(&mut Shared);
    let damages: [Damage; 3] = [
        |shared| shared.passphrase = Passphrase::new(b"h3kqt-0w8zn-5m2xr-vb7cx".to_vec()).expect("printable"),
        |shared| shared.stretching = Stretching::new([6; 16], 8, 1, 1).expect("in range"),
        |shared| shared.id = KeyId::from_bytes([0; 8]),
    ];
    for damage in damages {
        let mut key = key_with(Stretcher::new());
        damage(Arc::get_mut(&mut key.0).expect("nobody else has it"));
        for operation in [Operation::Seal, Operation::Unseal] {
            let keks = key.keks(&approved("cp-1", &[], operation)).await;
            assert!(matches!(keks, Err(Unavailable::Damaged(_))), "{keks:?}");
        }
    }
}

/// Derives only when it is let.
fn held() -> (Stretcher, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begun, has_begun) = mpsc::channel();
    let (go, may_go) = mpsc::channel();
    let may_go = Mutex::new(may_go);
    let stretcher = Stretcher::with(move |passphrase, stretching, node| {
        let _nobody_looks = begun.send(());
        may_go.lock().unwrap_or_else(PoisonError::into_inner).recv().expect("the test lets it");
        stretching::node_key(passphrase, stretching, node)
    });
    (stretcher, has_begun, go)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_while_its_key_is_derived_loses_nothing() {
    let (stretcher, has_begun, go) = held();
    let key = Arc::new(key_with(stretcher));
    let call = tokio::spawn({
        let key = Arc::clone(&key);
        async move { key.keks(&approved("cp-1", &[], Operation::Unseal)).await.map(|_| ()) }
    });
    has_begun.recv().expect("it begins");
    call.abort();
    assert!(call.await.expect_err("dropped").is_cancelled());
    go.send(()).expect("it waits");
    // A second derivation would wait for ever.
    key.keks(&approved("cp-1", &[], Operation::Unseal)).await.expect("KEKs");
    assert!(has_begun.try_recv().is_err());
}

#[tokio::test]
async fn a_call_does_not_wait_for_long_and_the_next_one_finds_the_key() {
    let (stretcher, has_begun, go) = held();
    let key = key_with(stretcher);
    let approved = approved("cp-1", &[], Operation::Unseal);
    let mut call = std::pin::pin!(key.keks(&approved));
    // Not paused before: time does not pass by itself while a thread derives.
    assert!(tokio::time::timeout(Duration::ZERO, &mut call).await.is_err());
    while has_begun.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::advance(WAIT).await;
    assert_eq!(call.await.map(|_| ()), Err(Unavailable::NotDerived(id())));
    tokio::time::resume();
    go.send(()).expect("it waits");
    assert!(key.keks(&approved).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_waits_for_its_turn() {
    let (stretcher, has_begun, go) = held();
    let turn = Arc::clone(&stretcher.turn);
    let keys = [key_with(stretcher.clone()), key_with(stretcher)];
    let calls = ["cp-1", "worker-2"].map(|claim| approved(claim, &[], Operation::Unseal));
    for key in &keys {
        calls.iter().for_each(|call| drop(Shared::begin(&key.0, &call.node().uuid, Operation::Unseal)));
    }
    for _ in 0..4 {
        has_begun.recv().expect("one begins");
        assert_eq!(turn.available_permits(), 0, "nobody else can");
        assert!(has_begun.try_recv().is_err());
        go.send(()).expect("it waits");
    }
    for call in &calls {
        keys[0].keks(call).await.expect("KEKs");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ended_without_a_word_is_begun_again() {
    let key = key_with(Stretcher::new());
    let uuid = node("cp-1", &[]).uuid;
    key.0.kept().unseal.insert(uuid, watch::channel(None).1);
    assert!(key.keks(&approved("cp-1", &[], Operation::Unseal)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_derivation_that_panics_or_fails_is_begun_again() {
    let made = AtomicUsize::new(0);
    let key =
        key_with(Stretcher::with(move |passphrase, stretching, node| match made.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("as a defect of a library would"),
            1 => Err(StretchError::Memory(8)),
            _ => stretching::node_key(passphrase, stretching, node),
        }));
    let approved = approved("cp-1", &[], Operation::Unseal);
    assert_eq!(key.keks(&approved).await.map(|_| ()), Err(Unavailable::NotDerived(id())));
    let no_memory = Unavailable::Stretching(id(), StretchError::Memory(8));
    assert_eq!(key.keks(&approved).await.map(|_| ()), Err(no_memory));
    assert!(key.keks(&approved).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn former_identifiers_open_and_each_node_has_its_own_kek() {
    let key = key_with(Stretcher::new());
    let keks = key.keks(&approved("cp-1", &["old-1", "old-2"], Operation::Unseal)).await.expect("KEKs");
    let nodes: Vec<&str> = keks.iter().map(|kek| kek.node().as_str()).collect();
    assert_eq!(nodes, ["cp-1", "old-1", "old-2"]);
    let secrets: std::collections::BTreeSet<&[u8; 32]> = keks.iter().map(|kek| kek.secret().expose()).collect();
    assert_eq!(secrets.len(), 3);
    assert!(keks.iter().all(|kek| kek.key() == key.key()));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_has_a_bound() {
    let key = key_with(Stretcher::new());
    {
        let mut kept = key.0.kept();
        for number in 0..MAX_KEPT {
            let known = watch::channel(Some(Err(Unavailable::NotDerived(id())))).1;
            kept.unseal.insert(node(&format!("node-{number}"), &[]).uuid, known);
        }
    }
    key.keks(&approved("cp-1", &[], Operation::Unseal)).await.expect("KEKs");
    assert_eq!(key.0.kept().unseal.len(), MAX_KEPT);
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_is_shown() {
    let key = key_with(Stretcher::new());
    let approved = approved("cp-1", &[], Operation::Unseal);
    key.keks(&approved).await.expect("KEKs");
    let shown = format!("{key:?} {:?}", key.0.kept());
    assert!(shown.contains("Passphrase(redacted)") && shown.contains("KeyBytes(redacted)"), "{shown}");
    assert!(!shown.contains("h3kqt") && !shown.contains("104, 51"), "{shown}");
}
