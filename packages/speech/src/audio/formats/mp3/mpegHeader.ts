/** @file Reads the four bytes at which a frame of MPEG audio, layer III, begins. */

/** What a frame says about itself. */
export interface MpegHeader {
  /** Hz. */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Bytes of the whole frame. */
  readonly length: number;
  /** Samples per channel that it decodes to. */
  readonly samples: number;
  /** Where the decoder's side information ends, and the tag of an encoder begins, counted from the frame's beginning. */
  readonly tagAt: number;
}

const RATES = [44_100, 48_000, 32_000];
/** kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5; 0 is "free" and not read. */
const BITRATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
] as const;

/**
 * The header at the beginning of `bytes`; undefined where none is.
 *
 * @see https://www.iso.org/standard/22412.html ISO/IEC 11172-3, 2.4.1.3
 */
export function mpegHeader(bytes: Uint8Array): MpegHeader | undefined {
  const [a, b, c, d] = bytes;
  if (a !== 0xff || b === undefined || c === undefined || d === undefined) return undefined;
  // Eleven bits of sync, two of version (1 is reserved), two of layer (01 is III).
  if ((b & 0xe6) !== 0xe2) return undefined;
  const version = (b >> 3) & 3;
  const rate = RATES[(c >> 2) & 3];
  if (version === 1 || rate === undefined) return undefined;
  const isFirst = version === 3;
  const bitrate = BITRATES[isFirst ? 0 : 1][c >> 4];
  if (!bitrate) return undefined;
  const sampleRate = rate / (isFirst ? 1 : version === 2 ? 2 : 4);
  const samples = isFirst ? 1152 : 576;
  const channels = d >> 6 === 3 ? 1 : 2;
  const sideInfo = isFirst ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  return {
    sampleRate,
    channels,
    length: Math.floor((samples * bitrate * 125) / sampleRate) + ((c >> 1) & 1),
    samples,
    tagAt: 4 + sideInfo,
  };
}
