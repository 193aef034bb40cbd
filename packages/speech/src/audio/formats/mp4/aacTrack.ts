/** @file The AAC track of an MP4 file. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import { boxAt, firstBox, packetPlaces, packetTimes, viewOf } from './packetPlaces.ts';

/** What an AAC decoder must know. */
interface AacSetup {
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
function aacSetup(stsd: Uint8Array): AacSetup | string {
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

/** Samples that one packet decodes to. */
export const PACKET_SAMPLES = 1024;
/** The whole file is held while it is decoded, for its tables often stand at the end: ten hours of speech or more. */
const MOST_BYTES = 2 ** 28;

/** The first sound track. */
export interface AacTrack extends AacSetup {
  /** All packets in their order. */
  readonly packets: readonly Uint8Array[];
  /** Samples before the recording, which the encoder added. */
  readonly before: number;
  /** Samples of the recording. */
  readonly frames: number;
}

/**
 * @throws OnnxLoraError `DATA_INVALID` when the file is broken or too large, or holds no sound, or sound of another kind than AAC-LC
 */
export async function aacTrack(bytes: ByteCursor): Promise<AacTrack> {
  const file = await bytes.take(MOST_BYTES + 1);
  if (file.length > MOST_BYTES) {
    throw audioInvalid(bytes, `is larger than ${MOST_BYTES} bytes, and MP4 is read whole. Cut it into pieces.`);
  }
  const moov = boxAt(file, 'moov');
  if (!moov) throw audioInvalid(bytes, `is damaged or cut short: it has no table of what is in it. ${DAMAGED}`);
  const track = firstBox(moov, ({ type, body }) => type === 'trak' && isAudioTrack(body))?.body;
  const stbl = track && boxAt(track, 'mdia', 'minf', 'stbl');
  if (!track || !stbl) throw audioInvalid(bytes, 'is an MP4 file without sound. Check that it is the right one.');
  const setup = aacSetup(boxAt(stbl, 'stsd') ?? new Uint8Array(0));
  if (typeof setup === 'string' || boxAt(moov, 'mvex')) {
    const what = typeof setup === 'string' ? setup : 'fragments';
    throw audioInvalid(
      bytes,
      `is an MP4 file of ${what}; read is AAC-LC of one or two channels in one piece. Convert it, for example with "ffmpeg -i INPUT OUTPUT.wav".`,
    );
  }
  try {
    const packets = packetPlaces(stbl, file.length).map(([at, length]) => file.subarray(at, at + length));
    return { ...setup, packets, ...extent(moov, track, stbl, setup.sampleRate, packets.length) };
  } catch (cause) {
    // What the tables contradict, and what is read beyond the end of one.
    if (!(cause instanceof RangeError)) throw cause;
    throw audioInvalid(bytes, `is damaged or cut short: ${cause.message}. ${DAMAGED}`, cause);
  }
}

function isAudioTrack(track: Uint8Array): boolean {
  const handler = boxAt(track, 'mdia', 'hdlr');
  return handler !== undefined && Buffer.from(handler.subarray(8, 12)).toString('latin1') === 'soun';
}

/** Where in the decoded samples the recording is. */
function extent(
  moov: Uint8Array,
  track: Uint8Array,
  stbl: Uint8Array,
  sampleRate: number,
  packets: number,
): Pick<AacTrack, 'before' | 'frames'> {
  const { count, duration } = packetTimes(stbl);
  if (count !== packets) throw new RangeError(`it has ${packets} packets, but times of ${count}`);
  const unit = sampleRate / timescale(boxAt(track, 'mdia', 'mdhd'));
  const edit = onlyEdit(boxAt(track, 'edts', 'elst'));
  const before = Math.round((edit?.start ?? 0) * unit);
  const rest = Math.round(duration * unit) - before;
  // The edit is counted in coarser units, often of a millisecond: it only counts where it says something else.
  const coarse = sampleRate / timescale(boxAt(moov, 'mvhd'));
  const edited = (edit?.duration || Infinity) * coarse;
  const frames = Math.abs(edited - rest) <= coarse ? rest : Math.min(rest, Math.round(edited));
  if (frames < 0 || before + frames > packets * PACKET_SAMPLES) {
    throw new RangeError(`${before + frames} samples are announced in ${packets} packets`);
  }
  return { before, frames };
}

/** Units in a second, of `mdhd` or `mvhd`. */
function timescale(header: Uint8Array | undefined): number {
  if (!header) throw new RangeError('a header is missing');
  // Version 1 has times of 64 bits before it.
  const units = viewOf(header).getUint32(header[0] === 1 ? 20 : 12);
  if (units === 0) throw new RangeError('a second has no units');
  return units;
}

/** Which part of the track is played, in units of the track, and how long, in units of the film; undefined where it is not one part. */
function onlyEdit(elst: Uint8Array | undefined): { start: number; duration: number } | undefined {
  if (!elst) return undefined;
  const view = viewOf(elst);
  if (view.getUint32(4) !== 1) return undefined;
  const isWide = elst[0] === 1;
  const start = isWide ? Number(view.getBigInt64(16)) : view.getInt32(12);
  const duration = isWide ? Number(view.getBigUint64(8)) : view.getUint32(8);
  return start < 0 ? undefined : { start, duration };
}
