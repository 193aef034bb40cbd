/** @file Drives the decoders of compressed sound, and lets none of their troubles pass in silence. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type ByteCursor, audioInvalid } from '../byteCursor.ts';

/** What a decoder makes of a chunk. */
export interface Decoded {
  readonly channelData: readonly Float32Array[];
  readonly samplesDecoded: number;
  readonly sampleRate: number;
  readonly errors: readonly { readonly message: string }[];
}

/** A decoder of the wasm-audio-decoders kind, for chunks that are bytes or lists of packets. */
export interface ChunkDecoder<Chunk> {
  /** Waits for the program to be compiled. */
  readonly ready: Promise<unknown>;
  decode(chunk: Chunk): Decoded | Promise<Decoded>;
  /** What is left after the last chunk, where something can be. */
  flush?(): Promise<Decoded>;
  free(): void;
}

/** What every piece of a sound has. */
export interface AudioShape {
  readonly sampleRate: number;
  readonly channels: number;
}

/** What is said of sound that does not decode. */
export const DAMAGED =
  'Copy or download it again, or make a new file of it, for example with "ffmpeg -i INPUT OUTPUT.wav".';

/**
 * Decodes chunk by chunk and frees the decoder at the end, whatever the end is.
 *
 * @throws OnnxLoraError `DATA_INVALID` where the decoder reports or throws anything, or the rate or number of channels is not
 * that of `shape`
 */
export async function* decodeChunks<Chunk>(
  bytes: ByteCursor,
  decoder: ChunkDecoder<Chunk>,
  chunks: AsyncIterable<Chunk>,
  shape: AudioShape,
): AsyncGenerator<readonly Float32Array[]> {
  const step = async (decode: () => Decoded | Promise<Decoded>): Promise<readonly Float32Array[] | undefined> => {
    const decoded = await attempt(bytes, decode);
    const [error] = decoded.errors;
    if (error) throw audioInvalid(bytes, `is damaged: the decoder says "${error.message}". ${DAMAGED}`);
    if (decoded.samplesDecoded === 0) return undefined;
    return inShape(bytes, decoded, shape);
  };
  try {
    await attempt(bytes, () => decoder.ready);
    for await (const chunk of chunks) {
      const piece = await step(() => decoder.decode(chunk));
      if (piece) yield piece;
    }
    if (decoder.flush) {
      const piece = await step(() => decoder.flush!());
      if (piece) yield piece;
    }
  } finally {
    decoder.free();
  }
}

async function attempt<Result>(bytes: ByteCursor, what: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await what();
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw audioInvalid(bytes, `is damaged: the decoder says "${reason}". ${DAMAGED}`, cause);
  }
}

function inShape(
  bytes: ByteCursor,
  { channelData, samplesDecoded, sampleRate }: Decoded,
  shape: AudioShape,
): readonly Float32Array[] {
  // A decoder may give a mono sound in two equal channels.
  const channels = channelData.slice(0, shape.channels).map((channel) => channel.subarray(0, samplesDecoded));
  if (sampleRate === shape.sampleRate && channels.length === shape.channels) return channels;
  throw audioInvalid(
    bytes,
    `changes from ${shape.channels} channels of ${shape.sampleRate} Hz to ${channels.length} of ${sampleRate} Hz. ${DAMAGED}`,
  );
}
