//! How messages go onto a stream and come off it: protobuf, checked against its limits first.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::limits::{Bounded, check};

/// Sends `T` and receives `U`.
pub(crate) struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// One direction.
pub(crate) struct Half<M>(PhantomData<M>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Bounded + Send,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Half<T>;
    type Decoder = Half<U>;

    fn encoder(&mut self) -> Half<T> {
        Half(PhantomData)
    }

    fn decoder(&mut self) -> Half<U> {
        Half(PhantomData)
    }
}

impl<T: Message> Encoder for Half<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}

impl<U: Bounded> Decoder for Half<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // All of it lies in one piece; if it ever does not, a copy makes it so.
        let whole = if buffer.chunk().len() == buffer.remaining() {
            check(U::SHAPE, buffer.chunk()).map(|()| U::decode(buffer))
        } else {
            let bytes = buffer.copy_to_bytes(buffer.remaining());
            check(U::SHAPE, &bytes).map(|()| U::decode(bytes))
        };
        let decoded = whole.map_err(|exceeded| Status::resource_exhausted(exceeded.to_string()))?;
        decoded.map(Some).map_err(|error| Status::invalid_argument(format!("a message cannot be decoded: {error}")))
    }
}
