/** @file Times and texts of transcriptions of real recordings. */

import { openModel } from '@onnx-lora/sdk';
import { monoAt, openTranscriber, AudioFileReader, speechFamilies } from '@onnx-lora/speech';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The program runs from a folder three levels below the project's. */
const shared = fileURLToPath(new URL('../../../../shared/', import.meta.url));
/** Whisper tiny.en, and recordings of 1 to 4 s with transcripts. */
export const whisperFolder: string = path.join(shared, 'models/whisper-tiny.en');
export const recordings: string = path.join(shared, 'data/asterisk-en');

/** Transcribed recordings: one by one, or joined to windows of up to 28 s. */
export interface TranscribeCase {
  readonly name: 'clips' | 'windows';
  /** How many recordings. */
  readonly count: number;
  readonly batchSize: number;
  readonly threads: number;
}

export const transcribeCases: readonly TranscribeCase[] = [
  { name: 'clips', count: 32, batchSize: 8, threads: 2 },
  { name: 'windows', count: 96, batchSize: 8, threads: 2 },
];

/** Results of one side. */
export interface TranscribeFigures {
  /** Seconds of sound. */
  readonly audio: number;
  readonly seconds: number;
  /** CPU seconds of all threads. */
  readonly cpu: number;
  readonly peakMb: number;
  readonly texts: readonly string[];
}

/** Seconds that joined recordings have at most. */
const WINDOW = 28;

/** Transcribes one case in this process: files in, texts out. The model is loaded, and has transcribed one recording. */
export async function transcribeOf({ name, count, batchSize, threads }: TranscribeCase): Promise<TranscribeFigures> {
  const model = await openModel(whisperFolder, { families: speechFamilies });
  const transcriber = await openTranscriber(model, { provider: 'cpu', threads, worker: false });
  const reader = new AudioFileReader();
  const files = manifest().slice(0, count);
  const load = (file: string): Promise<Float32Array> => monoAt(reader, path.join(recordings, file), 16_000);
  await transcriber.transcribeClips([await load(files[0]!)]);
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const sounds = await Promise.all(files.map(load));
  const clips = name === 'clips' ? sounds : joined(sounds, WINDOW * 16_000);
  const texts: string[] = [];
  for (let i = 0; i < clips.length; i += batchSize) {
    const found = await transcriber.transcribeClips(clips.slice(i, i + batchSize));
    texts.push(...found.map(({ text }) => text));
  }
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  await transcriber.release();
  const audio = sounds.reduce((sum, { length }) => sum + length, 0) / 16_000;
  const peakMb = process.resourceUsage().maxRSS / 1024;
  return { audio, seconds, cpu: (used.user + used.system) / 1e6, peakMb, texts };
}

/** Paths of the recordings of the test split. */
function manifest(): string[] {
  const lines = readFileSync(path.join(recordings, 'manifest.csv'), 'utf8').trim().split('\n').slice(1);
  return lines.filter((line) => line.trim().endsWith(',test')).map((line) => line.slice(0, line.indexOf(',')));
}

/** Recordings one after the other, as many as fit into `most` samples. */
function joined(sounds: readonly Float32Array[], most: number): Float32Array[] {
  const windows: Float32Array[][] = [[]];
  let length = 0;
  for (const sound of sounds) {
    if (length + sound.length > most) {
      windows.push([]);
      length = 0;
    }
    windows.at(-1)!.push(sound);
    length += sound.length;
  }
  return windows.map((parts) => {
    const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  });
}
