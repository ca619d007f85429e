//! Polling: how late it notices, in virtual time, and what it learns. The
//! figures for all templates are those of `cargo xtask bench ready`.

use exokit_simtest::bench::provision::{Measured, provision};
use exokit_simtest::bench::{Failure, Latencies, named};
use exokit_simtest::rig::Rig;

/// One environment after the other on one ledger.
async fn one_after_the_other(
    template: u16,
    latencies: Latencies,
    count: u32,
) -> Result<Vec<Measured>, Failure> {
    let rig = Rig::new(latencies.config());
    rig.install_roster().await;
    let mut measured = Vec::new();
    for number in 1..=count {
        measured.push(provision(&rig, named(template, &format!("number-{number}"))?).await?);
    }
    Ok(measured)
}

#[tokio::test(start_paused = true)]
async fn what_the_cloud_takes_is_waited_for_and_little_more() {
    let mut draws = Vec::new();
    for seed in 1..=6 {
        for template in [1, 3, 7] {
            let measured = one_after_the_other(template, Latencies::Drawn(seed), 6).await.unwrap();
            let (first, last) = (measured[0], measured[5]);
            let told = format!("T{template}, seed {seed}: {first:?}, then {last:?}");
            assert!((1.0..=1.05).contains(&first.ratio()), "{told}");
            assert!((1.0..=1.02).contains(&last.ratio()), "{told}");
            assert!(first.calls <= 320 && last.calls <= 320, "{told}");
            draws.push(last.critical);
        }
    }
    draws.sort();
    assert!(draws[0].as_secs_f64() * 1.2 < draws[17].as_secs_f64(), "they hardly differ: {draws:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_always_takes_as_long_is_soon_known() {
    let measured = one_after_the_other(7, Latencies::Middle, 33).await.unwrap();
    let (first, last) = (measured[0], measured[32]);
    assert!(last.ours < first.ours && last.calls < first.calls, "{first:?}, then {last:?}");
    assert!(last.ratio() < 1.005, "{last:?}");
}
