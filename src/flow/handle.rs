//! Handles of nodes, and what their types say: one value, or one per element of how many fan-outs.

use std::{any::Any, fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::pool::Arguments;

/// What flows: any serde value that owns what it has.
pub trait Data: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Data for T {}

/// A node's value, shared by all who need it.
pub(super) type Value = Arc<dyn Any + Send + Sync>;

/// Values of a node, as nested as the fan-outs that it is in.
#[derive(Clone)]
pub(super) enum Tree {
    One(Value),
    Many(Vec<Tree>),
    /// It failed, or what it needs did.
    Lost,
}

/// A node of a [`Flow`](super::Flow), whose values are `T`: one of them, or after an [`expand`](super::Flow::expand) one per element.
///
/// A handle is a name, not a value: it is [asked for](super::Run::get) when the flow runs.
pub struct Handle<T, L = Single> {
    pub(super) flow: u64,
    pub(super) node: usize,
    types: PhantomData<fn() -> (T, L)>,
}

impl<T, L> Handle<T, L> {
    pub(super) fn new(flow: u64, node: usize) -> Self {
        Self { flow, node, types: PhantomData }
    }
}

impl<T, L> Clone for Handle<T, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, L> Copy for Handle<T, L> {}

impl<T, L> fmt::Debug for Handle<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle(node {} of flow {})", self.node, self.flow)
    }
}

/// There is one value.
#[derive(Clone, Copy, Debug)]
pub struct Single;

/// There is one value per element of a fan-out, of which there is one, or one per element of another.
#[derive(Clone, Copy, Debug)]
pub struct Each<L = Single>(PhantomData<L>);

/// How many values of a node there are: [`Single`], [`Each`], `Each<Each>` and so on.
pub trait Level: 'static {
    /// All values of a node: `T`, `Vec<T>`, `Vec<Vec<T>>`.
    type Shape<T>;
    /// Those of them that came to be.
    type Kept<T>;

    #[doc(hidden)]
    const DEPTH: usize;
    #[doc(hidden)]
    fn shape<T: Clone + Send + Sync + 'static>(found: Found) -> Option<Self::Shape<T>>;
    #[doc(hidden)]
    fn kept<T: Clone + Send + Sync + 'static>(found: Found) -> Self::Kept<T>;
    #[doc(hidden)]
    fn given<T: Send + Sync + 'static>(shape: Self::Shape<T>) -> Found;
}

/// What was found, from the outside.
#[derive(Clone)]
#[doc(hidden)]
pub struct Found(pub(super) Tree);

/// The value itself; a copy where somebody else still has it.
pub(super) fn owned<T: Clone + Send + Sync + 'static>(value: Value) -> Option<T> {
    value.downcast::<T>().ok().map(Arc::unwrap_or_clone)
}

impl Level for Single {
    type Shape<T> = T;
    type Kept<T> = Option<T>;
    const DEPTH: usize = 0;

    fn shape<T: Clone + Send + Sync + 'static>(found: Found) -> Option<T> {
        match found.0 {
            Tree::One(value) => owned(value),
            Tree::Many(_) | Tree::Lost => None,
        }
    }

    fn kept<T: Clone + Send + Sync + 'static>(found: Found) -> Option<T> {
        Self::shape(found)
    }

    fn given<T: Send + Sync + 'static>(shape: T) -> Found {
        Found(Tree::One(Arc::new(shape)))
    }
}

impl<L: Level> Level for Each<L> {
    type Shape<T> = Vec<L::Shape<T>>;
    type Kept<T> = Option<Vec<L::Kept<T>>>;
    const DEPTH: usize = L::DEPTH + 1;

    fn shape<T: Clone + Send + Sync + 'static>(found: Found) -> Option<Self::Shape<T>> {
        match found.0 {
            Tree::Many(trees) => trees.into_iter().map(|tree| L::shape::<T>(Found(tree))).collect(),
            Tree::One(_) | Tree::Lost => None,
        }
    }

    fn kept<T: Clone + Send + Sync + 'static>(found: Found) -> Self::Kept<T> {
        match found.0 {
            Tree::Many(trees) => {
                Some(trees.into_iter().map(|tree| L::kept::<T>(Found(tree))).collect())
            }
            Tree::One(_) | Tree::Lost => None,
        }
    }

    fn given<T: Send + Sync + 'static>(shape: Self::Shape<T>) -> Found {
        Found(Tree::Many(shape.into_iter().map(|part| L::given::<T>(part).0).collect()))
    }
}

/// Levels that can be joined: what is one for all elements goes to each.
pub trait Join<L: Level>: Level {
    /// The deeper of the two.
    type Out: Level;
}

impl Join<Single> for Single {
    type Out = Single;
}

impl<L: Level> Join<Each<L>> for Single {
    type Out = Each<L>;
}

impl<L: Level> Join<Single> for Each<L> {
    type Out = Each<L>;
}

impl<L: Join<M>, M: Level> Join<Each<M>> for Each<L> {
    type Out = Each<L::Out>;
}

/// What a node is made from: nothing, a handle, or a tuple of up to eight.
///
/// A node from handles that are per element is per element, too. Other handles beside them go to each element.
pub trait Handles {
    /// What the node's function gets references to.
    type Arguments: Arguments + Serialize;
    /// How many values the node has.
    type Level: Level;

    #[doc(hidden)]
    fn nodes(&self) -> Vec<(u64, usize)>;
    #[doc(hidden)]
    fn pack(values: &[Shared], index: u64, packer: &mut Packing<'_>) -> crate::Result<()>;
}

/// A value on its way to a node, from the outside.
#[doc(hidden)]
pub struct Shared(pub(super) Value);

/// A message in the making, from the outside.
#[doc(hidden)]
pub struct Packing<'p>(pub(super) &'p mut crate::pool::Packer);

fn part<T: 'static>(values: &[Shared], at: usize) -> crate::Result<&T> {
    let value = values.get(at).and_then(|value| value.0.downcast_ref());
    value.ok_or_else(|| {
        crate::Error::invalid_data("a node was given a value of another type than its handle says")
    })
}

impl Handles for () {
    type Arguments = ();
    type Level = Single;

    fn nodes(&self) -> Vec<(u64, usize)> {
        Vec::new()
    }

    fn pack(_: &[Shared], index: u64, packer: &mut Packing<'_>) -> crate::Result<()> {
        packer.0.push(index, &())
    }
}

impl<T: Data, L: Level> Handles for Handle<T, L> {
    type Arguments = (T,);
    type Level = L;

    fn nodes(&self) -> Vec<(u64, usize)> {
        vec![(self.flow, self.node)]
    }

    fn pack(values: &[Shared], index: u64, packer: &mut Packing<'_>) -> crate::Result<()> {
        packer.0.push(index, &(part::<T>(values, 0)?,))
    }
}

impl<T: Data, L: Level> Handles for (Handle<T, L>,) {
    type Arguments = (T,);
    type Level = L;

    fn nodes(&self) -> Vec<(u64, usize)> {
        self.0.nodes()
    }

    fn pack(values: &[Shared], index: u64, packer: &mut Packing<'_>) -> crate::Result<()> {
        <Handle<T, L> as Handles>::pack(values, index, packer)
    }
}

/// A tuple of handles is what all but its last are, and the last.
macro_rules! handles {
    ($($type:ident $level:ident $at:tt),+; $last:ident $last_level:ident $last_at:tt) => {
        impl<$($type: Data, $level: Level,)+ $last: Data, $last_level: Level> Handles
            for ($(Handle<$type, $level>,)+ Handle<$last, $last_level>)
        where
            ($(Handle<$type, $level>,)+): Handles<Level: Join<$last_level>>,
        {
            type Arguments = ($($type,)+ $last);
            type Level = <<($(Handle<$type, $level>,)+) as Handles>::Level as Join<$last_level>>::Out;

            fn nodes(&self) -> Vec<(u64, usize)> {
                vec![$((self.$at.flow, self.$at.node),)+ (self.$last_at.flow, self.$last_at.node)]
            }

            fn pack(values: &[Shared], index: u64, packer: &mut Packing<'_>) -> crate::Result<()> {
                packer.0.push(index, &($(part::<$type>(values, $at)?,)+ part::<$last>(values, $last_at)?))
            }
        }
    };
}

handles!(A LA 0; B LB 1);
handles!(A LA 0, B LB 1; C LC 2);
handles!(A LA 0, B LB 1, C LC 2; D LD 3);
handles!(A LA 0, B LB 1, C LC 2, D LD 3; E LE 4);
handles!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4; F LF 5);
handles!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4, F LF 5; G LG 6);
handles!(A LA 0, B LB 1, C LC 2, D LD 3, E LE 4, F LF 5, G LG 6; H LH 7);

/// What can be asked for together: a handle, a tuple of up to eight, or any number of handles of one kind.
pub trait Outputs {
    /// All values, each as its handle's [`Level`] says.
    type Values;
    /// Those that came to be.
    type Kept;

    #[doc(hidden)]
    fn wanted(&self) -> Vec<(u64, usize)>;
    #[doc(hidden)]
    fn values(&self, found: &mut dyn Iterator<Item = Found>) -> Option<Self::Values>;
    #[doc(hidden)]
    fn kept(&self, found: &mut dyn Iterator<Item = Found>) -> Self::Kept;
}

impl<T: Data + Clone, L: Level> Outputs for Handle<T, L> {
    type Values = L::Shape<T>;
    type Kept = L::Kept<T>;

    fn wanted(&self) -> Vec<(u64, usize)> {
        vec![(self.flow, self.node)]
    }

    fn values(&self, found: &mut dyn Iterator<Item = Found>) -> Option<Self::Values> {
        L::shape::<T>(found.next()?)
    }

    fn kept(&self, found: &mut dyn Iterator<Item = Found>) -> Self::Kept {
        L::kept::<T>(found.next().unwrap_or(Found(Tree::Lost)))
    }
}

impl<T: Data + Clone, L: Level> Outputs for Vec<Handle<T, L>> {
    type Values = Vec<L::Shape<T>>;
    type Kept = Vec<L::Kept<T>>;

    fn wanted(&self) -> Vec<(u64, usize)> {
        self.iter().flat_map(Outputs::wanted).collect()
    }

    fn values(&self, found: &mut dyn Iterator<Item = Found>) -> Option<Self::Values> {
        self.iter().map(|handle| handle.values(found)).collect()
    }

    fn kept(&self, found: &mut dyn Iterator<Item = Found>) -> Self::Kept {
        self.iter().map(|handle| handle.kept(found)).collect()
    }
}

macro_rules! outputs {
    ($($part:ident $at:tt),+) => {
        impl<$($part: Outputs),+> Outputs for ($($part,)+) {
            type Values = ($($part::Values,)+);
            type Kept = ($($part::Kept,)+);

            fn wanted(&self) -> Vec<(u64, usize)> {
                let mut wanted = Vec::new();
                $(wanted.extend(self.$at.wanted());)+
                wanted
            }

            fn values(&self, found: &mut dyn Iterator<Item = Found>) -> Option<Self::Values> {
                Some(($(self.$at.values(found)?,)+))
            }

            fn kept(&self, found: &mut dyn Iterator<Item = Found>) -> Self::Kept {
                ($(self.$at.kept(found),)+)
            }
        }
    };
}

outputs!(A 0);
outputs!(A 0, B 1);
outputs!(A 0, B 1, C 2);
outputs!(A 0, B 1, C 2, D 3);
outputs!(A 0, B 1, C 2, D 3, E 4);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
outputs!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
