use proptest::prelude::*;
use serde_json::json;

use super::*;

fn selects(selector: &str, labels: &Value) -> bool {
    selector.parse::<Selector>().unwrap().matches(labels.as_object())
}

#[test]
fn each_form_selects_what_it_says() {
    let labels = json!({"app": "shop", "tier": "web", "example.com/part": "x"});
    for (selector, expected) in [
        ("", true),
        ("  ", true),
        ("app=shop", true),
        ("app==shop", true),
        ("app = shop , tier = web", true),
        ("app=other", false),
        ("app!=other", true),
        ("missing!=x", true),
        ("missing=", false),
        ("app in (shop, mall)", true),
        ("app in (mall)", false),
        ("app notin (shop)", false),
        ("missing notin (a,b)", true),
        ("app", true),
        ("!app", false),
        ("!missing,example.com/part=x", true),
        ("in in (in)", false),
    ] {
        assert_eq!(selects(selector, &labels), expected, "{selector:?}");
    }
    assert!(!Selector::from_str("app").unwrap().matches(None));
    assert!(Selector::from_str("!app").unwrap().matches(None));
    assert!(selects("empty=", &json!({"empty": ""})));
}

#[test]
fn errors_say_where() {
    for (selector, position) in [
        ("=x", 0),
        ("app=shop,", 9),
        ("app shop", 4),
        ("app in shop", 7),
        ("app in (a", 9),
        ("app in (a b)", 10),
        ("app=-x", 4),
        ("a/b/c=x", 0),
        ("app>3", 3),
        ("app=ä", 4),
        ("!", 1),
    ] {
        let error = selector.parse::<Selector>().unwrap_err();
        assert_eq!(error.position, position, "{selector:?}: {error}");
    }
    assert!("a,".repeat(SELECTOR_BYTES_MAX).parse::<Selector>().is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<Selector>();
    }

    #[test]
    fn the_canonical_text_means_the_same(text in "(!?[a-z]{1,3}(=|==|!=| in | notin )?[(a-z,)]{0,6},?){0,4}") {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }
    }
}
