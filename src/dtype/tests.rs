use super::*;

/// Dtypes of every kind except scalars, as NumPy prints them, with their sizes.
const NOT_SCALARS: &[(&str, usize)] = &[
    ("|S5", 5),
    ("|S0", 0),
    ("<U3", 12),
    (">U0", 0),
    ("|V7", 7),
    ("<M8[25us]", 8),
    (">M8[D]", 8),
    ("<m8[ns]", 8),
    (">m8", 8),
    ("[]", 0),
    ("[('a', '<f4')]", 4),
    ("[('a', '|u1'), ('', '|V7'), ('b', '<f8'), ('', '|V3')]", 19),
    ("[('a', '>i2', (2, 3)), ('b', '<i2', (1,)), ('c', '|S4', (0, 9))]", 14),
    ("[('a', [('x', '<f8'), ('y', [('z', '>U2', (2,))], (3,))]), ('b', '|b1')]", 57),
    ("[(('a title', 'a'), '>c16'), (\"it's\", '<i4'), ('\\n\\x1b\\\\数', '|i1')]", 21),
];

#[test]
fn dtype_prints_the_text_it_was_parsed_from() {
    for scalar in Scalar::ALL {
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let dtype = DType::new(scalar, byte_order);
            assert_eq!(dtype.to_string().parse::<DType>().unwrap(), dtype);
            assert_eq!(dtype.swapped().swapped(), dtype);
            assert_eq!(dtype.byte_order().is_none(), scalar.size() == 1);
        }
    }
    for &(text, size) in NOT_SCALARS {
        let dtype: DType = text.parse().unwrap();
        assert_eq!((dtype.to_string().as_str(), dtype.item_size()), (text, size));
        assert_eq!(dtype.swapped().swapped(), dtype);
        let json = serde_json::to_string(&dtype).unwrap();
        assert_eq!(serde_json::from_str::<DType>(&json).unwrap(), dtype, "{json}");
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let all = dtype.with_byte_order(byte_order);
            assert!(
                !all.is_mixed() && all.byte_order().is_none_or(|order| order == byte_order),
                "{all}"
            );
            assert_eq!(all.is_native(), all.byte_order().is_none_or(ByteOrder::is_native), "{all}");
            assert_eq!(all.item_size(), size);
        }
    }
}

#[test]
fn dtype_alternative_spellings_parse_alike() {
    for (text, printed) in [
        ("S5", "|S5"),
        ("<V2", "|V2"),
        ("<M8[generic]", "<M8"),
        ("<M8[1s]", "<M8[s]"),
        ("[ ( \"a\",'<f4',3 ) , ]", "[('a', '<f4', (3,))]"),
        ("[('a', '<f4', ())]", "[('a', '<f4')]"),
        ("[('a', ('<f4', (2,)), (3, 1))]", "[('a', '<f4', (3, 1, 2))]"),
        ("[('a', ([('x', '<f4')], (2,)))]", "[('a', [('x', '<f4')], (2,))]"),
        ("[('', '|V2', (2,)), ('', '|V1'), ('a', '|u1')]", "[('', '|V5'), ('a', '|u1')]"),
        ("[['a', '<f4', [3]], ['', '<i2']]", "[('a', '<f4', (3,)), ('', '<i2')]"),
    ] {
        assert_eq!(text.parse::<DType>().unwrap().to_string(), printed);
    }
}

#[test]
fn dtype_of_a_rust_type_is_native() {
    assert!(DType::of::<f64>().is_native());
    assert!(!DType::of::<f64>().swapped().is_native());
    assert!(DType::of::<u8>().swapped().is_native(), "a byte has no byte order");
}

#[test]
fn dtype_byte_orders_of_fields_are_combined() {
    let of = |text: &str| text.parse::<DType>().unwrap();
    let mixed = of("[('a', '<i2'), ('b', [('c', '>f8'), ('d', '|u1')])]");
    assert!(mixed.is_mixed() && !mixed.is_native());
    assert_eq!(mixed.byte_order(), None);
    assert_eq!(mixed.swapped().to_string(), "[('a', '>i2'), ('b', [('c', '<f8'), ('d', '|u1')])]");
    assert_eq!(mixed.with_byte_order(ByteOrder::Big).byte_order(), Some(ByteOrder::Big));
    assert!(of("[('a', '|u1'), ('b', '|S3')]").is_native());
}

#[test]
fn dtype_invalid_text_is_refused_with_a_reason() {
    let doubled = "[('a', '<f4'), ('b', '<f4'), ('a', '|u1')]";
    for (text, reason) in [
        ("", "unknown dtype ``"),
        ("<", "unknown dtype `<`"),
        ("f8", "has no byte order"),
        ("=f8", "has no byte order"),
        ("|f8", "has no byte order"),
        ("U3", "has no byte order"),
        ("|O", "Python objects"),
        ("<f8 ", "unknown dtype"),
        ("<f16", "is a long double"),
        ("<ф8", "unknown dtype"),
        ("\u{1b}[2J", "unknown dtype `\\u{1b}[2J`"),
        ("S", "unknown dtype `S`"),
        ("|S+3", "unknown dtype"),
        ("|S99999999999999999999", "unknown dtype"),
        ("<U9223372036854775807", "unknown dtype"),
        ("<M8[", "unknown dtype"),
        ("<M8[0s]", "unknown dtype"),
        ("<M8[s/2]", "unknown dtype"),
        ("<M8[9999999999s]", "unknown dtype"),
        ("<m4[s]", "unknown dtype"),
        ("[('a', '|O')]", "field `a`: dtype `|O` holds Python objects"),
        ("[('a', [('b', '<q8')])]", "field `a`: field `b`: unknown dtype `<q8`"),
        (
            "[3, ('a', '<f4')]",
            "expected field 0 as (name, dtype) or (name, dtype, shape), found `3`",
        ),
        ("[('a', '<f4', (2,), 4)]", "expected field 0"),
        ("[(('t', 'a', 'b'), '<f4')]", "expected field 0"),
        ("[('a', 4)]", "field `a`: expected a type string or a list of fields, found `4`"),
        ("[('a', '<f4', ('x',))]", "field `a`: expected a shape, found `('x',)`"),
        ("[('a', '<f4', (-1,))]", "at byte 15"),
        ("[('a', '<f4')", "expected `]` at byte 13, found the end"),
        ("[('a', '<f4')] x", "expected the end at byte 14"),
        ("[('a', ())]", "field `a`: expected a type string or a list of fields, found `()`"),
        ("['<f4', (2,)]", "expected a type string or a list of fields"),
        ("[('\\q', '<f4')]", "expected an escaped character at byte 3"),
        ("[('\\ud800', '<f4')]", "expected an escaped character"),
        (doubled, "`a` names two fields"),
        ("[(('a', 'b'), '<f4'), ('a', '|u1')]", "`a` names two fields"),
        (
            "[('a', '<f4', (9223372036854775807, 2))]",
            "field `a` ends beyond what memory can address",
        ),
        (
            "[('a', '<f4', (0, 9223372036854775807))]",
            "field `a` ends beyond what memory can address",
        ),
        ("[('a', '|S9223372036854775807'), ('b', '|S9223372036854775807')]", "larger than memory"),
        (
            "[('a', '|S9223372036854775807'), ('b', '|S9223372036854775807'), ('c', '|S3')]",
            "field `c` ends beyond",
        ),
    ] {
        let message = text.parse::<DType>().unwrap_err().to_string();
        assert!(message.contains(reason), "{text:?}: {message}");
    }
    assert!("x".repeat(9999).parse::<DType>().unwrap_err().to_string().len() < 300);
}

#[test]
fn dtype_impossible_fields_are_refused() {
    let field = |name: &str, offset| Field::new(name, DType::of::<u32>(), offset);
    for (fields, size, reason) in [
        (
            vec![field("a", 0), field("b", 2)],
            8,
            "field `b` begins at byte 2, before field `a` ends at byte 4",
        ),
        (vec![field("b", 4), field("a", 0)], 8, "before field `b` ends"),
        (vec![field("a", 5)], 8, "field `a` ends at byte 9, but an element has 8 bytes"),
        (vec![field("a", usize::MAX)], 8, "larger than memory"),
        (vec![], usize::MAX, "larger than memory"),
        (vec![Field::new("", "|V2".parse().unwrap(), 0)], 8, "padding"),
    ] {
        let message = DType::structured(fields, size).unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

// F1
#[test]
fn dtype_of_maximum_size_can_be_written_and_read() {
    let many = |count: usize| {
        let fields = (0..count).map(|at| {
            Field::new(at.to_string(), DType::of::<u8>(), at * 2 + 1).with_title(format!("t{at}"))
        });
        DType::structured(fields.collect(), count * 2 + 1)
    };
    // Each field has 5 parts (tuple, tuple of title and name, dtype) and its
    // padding 3. The list is one more.
    let most = ((1 << 18) - 1) / 8;
    let dtype = many(most).unwrap();
    assert_eq!(dtype.to_string().parse::<DType>().unwrap(), dtype);
    assert_eq!(
        serde_json::from_str::<DType>(&serde_json::to_string(&dtype).unwrap()).unwrap(),
        dtype
    );
    assert!(many(most + 1).unwrap_err().to_string().contains("at most 262144 are supported"));
    let text = format!(
        "[{}]",
        (0..=most)
            .map(|at| format!("('', '|V1'), (('t{at}', '{at}'), '|u1'), "))
            .collect::<String>()
    );
    assert_eq!(
        text.parse::<DType>().unwrap_err().to_string(),
        "the dtype has more than 262144 parts"
    );
}

// F1
#[test]
fn dtype_nesting_depth_is_limited() {
    let nested = |depth: usize| "[('a', ".repeat(depth) + "'<f4'" + &")]".repeat(depth);
    assert!(nested(32).parse::<DType>().is_ok());
    let json = |depth: usize| "[[\"a\",".repeat(depth) + "\"<f4\"" + &"]]".repeat(depth);
    assert!(serde_json::from_str::<DType>(&json(32)).is_ok());
    for depth in [33, 34, 50, 100_000] {
        assert!(
            nested(depth).parse::<DType>().unwrap_err().to_string().contains("deep"),
            "{depth}"
        );
        assert!(serde_json::from_str::<DType>(&json(depth)).is_err(), "{depth}");
    }
    let mut dtype = DType::of::<f32>();
    let deeper = loop {
        match DType::structured(vec![Field::new("a", dtype, 0)], 4) {
            Ok(deeper) => dtype = deeper,
            Err(error) => break error,
        }
    };
    assert_eq!(deeper.to_string(), "fields nest 33 levels deep, at most 32 are supported");
}
