/** @file Reads how AAC was encoded from the description of an MP4 track. */

import { boxAt, firstBox, viewOf } from './boxes.ts';

/** What an AAC decoder must know. */
export interface AacSetup {
  readonly sampleRate: number;
  readonly channels: number;
  /** Index of the rate in AAC's table. */
  readonly rateIndex: number;
}

const RATES = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];
/** Fields of a sound's entry before the boxes in it. */
const ENTRY = 28;

/**
 * The setup in the box `stsd`; a text that says what else it is where it is not AAC-LC of one or two channels and 1024 samples
 * a packet.
 */
export function aacSetup(stsd: Uint8Array): AacSetup | string {
  const entry = firstBox(stsd.subarray(8), () => true);
  if (entry?.type !== 'mp4a') return `"${entry?.type ?? 'nothing'}"`;
  const esds = boxAt(entry.body.subarray(ENTRY), 'esds');
  const config = esds && decoderConfig(esds.subarray(4));
  if (!config || config.length < 2) return 'AAC without its description';
  return parseConfig(config);
}

/** @see https://www.iso.org/standard/76383.html ISO/IEC 14496-3, 1.6.2.1 */
function parseConfig(config: Uint8Array): AacSetup | string {
  const [a, b] = [config[0]!, config[1]!];
  if (a >> 3 !== 2) return `AAC of type ${a >> 3}`;
  // The doubled rate of HE-AAC may be announced at the end, for decoders that know it.
  if (config[2] === 0x56 && config[3] === 0xe5 && ((config[4] ?? 0) & 0x80) !== 0) return 'HE-AAC';
  if ((b & 4) !== 0) return 'AAC of 960 samples a packet';
  const rateIndex = ((a & 7) << 1) | (b >> 7);
  const sampleRate = RATES[rateIndex];
  const channels = (b >> 3) & 15;
  if (sampleRate === undefined || channels < 1 || channels > 2) return `AAC of channel layout ${channels}`;
  return { sampleRate, channels, rateIndex };
}

/** The AudioSpecificConfig inside the descriptors of `esds`. @see ISO/IEC 14496-1, 7.2.6 */
function decoderConfig(bytes: Uint8Array): Uint8Array | undefined {
  const stream = descriptor(bytes, 3);
  if (!stream || stream.length < 3) return undefined;
  const flags = stream[2]!;
  // Three optional fields come before the next descriptor; no MP4 file has the last two.
  const decoder = (flags & 0x60) === 0 ? descriptor(stream.subarray(flags & 0x80 ? 5 : 3), 4) : undefined;
  return decoder && descriptor(decoder.subarray(13), 5);
}

/** The body of the descriptor that `bytes` begins with, if it has this tag. */
function descriptor(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  if (bytes.length < 2 || viewOf(bytes).getUint8(0) !== tag) return undefined;
  let [length, at] = [0, 1];
  // Seven bits a byte, four bytes at most; the highest bit says that another follows.
  for (let more = true; more && at <= 4 && at < bytes.length; at++) {
    length = length * 128 + (bytes[at]! & 0x7f);
    more = (bytes[at]! & 0x80) !== 0;
  }
  return bytes.subarray(at, at + length);
}
