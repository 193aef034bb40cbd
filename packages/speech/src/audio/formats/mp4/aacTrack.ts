/** @file The sound of an MP4 file, as packets of AAC. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import { type AacSetup, aacSetup } from './aacSetup.ts';
import { boxAt, firstBox, viewOf } from './boxes.ts';
import { packetPlaces, packetTimes } from './packetPlaces.ts';

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
    throw soundInvalid(bytes, `is larger than ${MOST_BYTES} bytes, and MP4 is read whole. Cut it into pieces.`);
  }
  const moov = boxAt(file, 'moov');
  if (!moov) throw soundInvalid(bytes, `is damaged or cut short: it has no table of what is in it. ${DAMAGED}`);
  const track = firstBox(moov, ({ type, body }) => type === 'trak' && isSound(body))?.body;
  const stbl = track && boxAt(track, 'mdia', 'minf', 'stbl');
  if (!track || !stbl) throw soundInvalid(bytes, 'is an MP4 file without sound. Check that it is the right one.');
  const setup = aacSetup(boxAt(stbl, 'stsd') ?? new Uint8Array(0));
  if (typeof setup === 'string' || boxAt(moov, 'mvex')) {
    const what = typeof setup === 'string' ? setup : 'fragments';
    throw soundInvalid(
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
    throw soundInvalid(bytes, `is damaged or cut short: ${cause.message}. ${DAMAGED}`, cause);
  }
}

function isSound(track: Uint8Array): boolean {
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
