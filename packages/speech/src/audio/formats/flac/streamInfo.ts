/** @file Reads what a FLAC file says of itself. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { DAMAGED, type SoundShape } from '../decodeChunks.ts';

/** The STREAMINFO block. */
export interface StreamInfo extends SoundShape {
  /** Bits of a sample. */
  readonly bits: number;
  /** Samples per channel; undefined where the encoder did not know. */
  readonly frames?: number;
}

/** Bytes of the block without its header. */
export const STREAM_INFO_BYTES = 34;

/**
 * @param block the block without its header
 * @throws OnnxLoraError `DATA_INVALID` when it is cut short
 * @see https://www.rfc-editor.org/rfc/rfc9639.html section 8.2
 */
export function streamInfo(bytes: ByteCursor, block: Uint8Array): StreamInfo {
  if (block.length < STREAM_INFO_BYTES) throw soundInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  // Twenty bits of rate, three of channels, five of depth, thirty-six of samples.
  const packed = view.getUint32(10);
  const sampleRate = packed >>> 12;
  const bits = ((packed >>> 4) & 0x1f) + 1;
  const frames = (packed & 0xf) * 2 ** 32 + view.getUint32(14);
  return { sampleRate, channels: ((packed >>> 9) & 7) + 1, bits, ...(frames > 0 && { frames }) };
}
