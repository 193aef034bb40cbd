/** @file Runs decoders of compressed sound and turns their errors into ours. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type ByteCursor, audioInvalid } from '../byteCursor.ts';

export interface Decoded {
  readonly channelData: readonly Float32Array[];
  readonly samplesDecoded: number;
  readonly sampleRate: number;
  readonly errors: readonly { readonly message: string }[];
}

/** A decoder like those of wasm-audio-decoders, for chunks of bytes or lists of packets. */
export interface ChunkDecoder<Chunk> {
  /** Resolves once the WebAssembly is compiled. */
  readonly ready: Promise<unknown>;
  decode(chunk: Chunk): Decoded | Promise<Decoded>;
  flush?(): Promise<Decoded>;
  free(): void;
}

export interface AudioShape {
  readonly sampleRate: number;
  readonly channels: number;
}

export const DAMAGED =
  'Copy or download it again, or make a new file of it, for example with "ffmpeg -i INPUT OUTPUT.wav".';

/** Decodes chunks, then frees the decoder. @throws OnnxLoraError `DATA_INVALID` for errors or changes of shape */
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
  // A decoder may return mono as two equal channels.
  const channels = channelData.slice(0, shape.channels).map((channel) => channel.subarray(0, samplesDecoded));
  if (sampleRate === shape.sampleRate && channels.length === shape.channels) return channels;
  throw audioInvalid(
    bytes,
    `changes from ${shape.channels} channels of ${shape.sampleRate} Hz to ${channels.length} of ${sampleRate} Hz. ${DAMAGED}`,
  );
}
