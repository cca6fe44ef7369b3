//! The laws every comparator is tested against.

use std::cmp::Ordering;

use proptest::prelude::*;

/// Reflexivity, antisymmetry and transitivity over three texts in every arrangement.
pub(crate) fn total_order(
    compare: fn(&str, &str) -> Ordering,
    texts: [&str; 3],
) -> Result<(), TestCaseError> {
    for a in texts {
        prop_assert_eq!(compare(a, a), Ordering::Equal);
        for b in texts {
            prop_assert_eq!(compare(a, b), compare(b, a).reverse(), "{:?} ? {:?}", a, b);
            for c in texts {
                if compare(a, b).is_le() && compare(b, c).is_le() {
                    prop_assert!(compare(a, c).is_le(), "{:?} <= {:?} <= {:?}", a, b, c);
                    if compare(a, b).is_lt() || compare(b, c).is_lt() {
                        prop_assert!(
                            compare(a, c).is_lt(),
                            "{:?} <= {:?} <= {:?}, one of them <",
                            a,
                            b,
                            c
                        );
                    }
                }
            }
        }
    }
    Ok(())
}
