/** @file Prints or writes answers about records, such as the sequences of a FASTA file. */

import { statSync } from 'node:fs';
import path from 'node:path';
import { type Answer, type AnswerWriter, quotedNames, type Prediction, type Predictor } from '@onnx-lora/sdk/tasks';
import { withoutUndefined, fileIdentity, writeFileAtomic } from '@onnx-lora/sdk/data';
import { exitCodes, usageError } from '../terminal/errors.ts';
import { Interrupt } from '../terminal/interrupt.ts';
import type { Progress } from '../terminal/progress.ts';
import { sectionsPage } from '../report/sections.ts';
import { clock, grouped } from '../terminal/table.ts';
import { printable, type Terminal } from '../terminal/terminal.ts';
import { withLists } from './vectors.ts';
import { given, STDIN } from './predictSources.ts';
import { answerEndings, AnswerFile, type AnswersOf } from './answerFile.ts';
import { type UnprintedValues, shown } from './printAnswers.ts';

export interface RecordsRequest {
  readonly predictor: Predictor;
  /** Files, or `-` for standard input. */
  readonly sources: readonly string[];
  readonly batchSize: number | undefined;
  /** The output file; answers are printed without one. */
  readonly out: string | undefined;
  readonly json: boolean;
  readonly of: AnswersOf;
  readonly beyond: UnprintedValues;
  /** Whether answers name their file even if it is the only one; false by default. */
  readonly isNamed?: boolean;
  readonly terminal: Terminal;
  readonly progress: Progress;
  readonly exitWith: (code: number) => void;
}

interface Sink {
  readonly position: AnswerFile['position'];
  readonly answers: number;
  write(answer: Prediction): Promise<void>;
  endSource(): Promise<void>;
  finish(): Promise<void>;
  stop(): Promise<void>;
  /** The user's hint about an early end. */
  readonly onStop: string;
}

/** True for the path of a file of answers, not of a folder for pictures. */
export function isAnswerFile(out: string | undefined): boolean {
  return out !== undefined && [...answerEndings, '.json'].includes(path.extname(out).toLowerCase());
}

/**
 * Answers record by record in constant memory. A file is resumable after an interrupt.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown file ending, or a part of something else
 */
export async function writeRecords(request: RecordsRequest): Promise<void> {
  const { predictor, out, terminal, progress, sources, batchSize, beyond } = request;
  const sink = await openSink(request);
  if (sink.answers > 0) progress.note(`continuing after ${grouped(sink.answers)} answers`);
  const stop = new AbortController();
  const interrupt = new Interrupt(() => {
    stop.abort();
    progress.note(`Stopping after this batch; once more to stop at once. ${sink.onStop}`);
  });
  try {
    const begin = sink.position;
    const options = { skip: begin.answers, signal: stop.signal, ...withoutUndefined({ batchSize }) };
    const answers = predictor.predict(given(sources.slice(begin.sources)), options);
    await writeAll(beyond.watched(answers), request, sink, stop.signal);
    if (stop.signal.aborted) {
      await sink.stop();
      terminal.note(`Stopped after ${grouped(sink.answers)} answers. ${sink.onStop}`);
      request.exitWith(interrupt.code ?? exitCodes.interrupted);
      return;
    }
    await sink.finish();
  } catch (error) {
    await sink.stop().catch(() => undefined);
    throw error;
  } finally {
    interrupt.release();
  }
  const sections = predictor.sections?.() ?? [];
  if (out !== undefined && sections.length > 0) {
    const page = `${out.slice(0, out.length - path.extname(out).length)}.html`;
    await writeFileAtomic(page, sectionsPage(path.basename(out), sections));
    terminal.note(`shown in ${page}`);
  }
  if (out !== undefined) terminal.note(`${grouped(sink.answers)} answers in ${out}`);
}

async function writeAll(
  answers: AsyncIterable<Answer>,
  { sources, isNamed = false, progress }: RecordsRequest,
  sink: Sink,
  signal: AbortSignal,
): Promise<void> {
  const sizes = sources.map((source) => statSync(source, { throwIfNoEntry: false })?.size ?? 0);
  const before = sizes.map((_, i) => sizes.slice(0, i).reduce((sum, size) => sum + size, 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const begin = sink.position.sources;
  const pace = new Pace(sink.answers);
  let source = begin;
  for await (const answer of answers) {
    if (signal.aborted) return;
    for (; source < begin + answer.source; source++) await sink.endSource();
    await sink.write(
      sources.length === 1 && !isNamed ? answer.prediction : { file: sources[source]!, ...answer.prediction },
    );
    const read = before[source]! + (answer.read ?? 0);
    progress.showLive(read, Math.max(total, read + 1), pace.line(sink.answers, total === 0 ? undefined : read / total)); // prettier-ignore
  }
  if (signal.aborted) return;
  for (; source < sources.length; source++) await sink.endSource();
}

class Pace {
  readonly #start = performance.now();
  readonly #first: number;
  #shareAtStart: number | undefined;

  constructor(first: number) {
    this.#first = first;
  }

  line(answers: number, share: number | undefined): string {
    const seconds = (performance.now() - this.#start) / 1000;
    this.#shareAtStart ??= share;
    const rate = `${grouped(answers)} answers  ${grouped(Math.round((answers - this.#first) / Math.max(seconds, 1e-3)))}/s`;
    if (share === undefined) return rate;
    const made = share - (this.#shareAtStart ?? 0);
    const left = made > 0 ? `  ${clock(((1 - share) * seconds) / made)} left` : '';
    return `${Math.floor(100 * Math.min(1, share))}%  ${rate}${left}`;
  }
}

async function openSink(request: RecordsRequest): Promise<Sink> {
  const { out, predictor, sources, of } = request;
  if (out === undefined)
    return fromStart(printer(request), 'With --out answers.csv the same command would go on after the last answer.');
  const ending = path.extname(out).toLowerCase();
  const known = answerEndings.includes(ending);
  const writer = known ? undefined : predictor.writer?.(out);
  if (writer) return fromStart(writer, `They are not kept: only ${quotedNames(answerEndings)} can be continued.`);
  if (!known)
    throw usageError(
      `"${out}" is no file that answers can be written to. Name one that ends in ${[...answerEndings, ...(predictor.writerEndings ?? [])].join(', ').replace(/, ([^,]*)$/, ' or $1')}.`,
    );
  const file = await AnswerFile.open(out, { ...of, sources: sources.map(identityOf) });
  return {
    get position() {
      return file.position;
    },
    get answers() {
      return file.answers;
    },
    write: (answer) => file.write(answer),
    endSource: () => file.endSource(),
    finish: () => file.finish(),
    stop: () => file.close(),
    onStop: 'The same command continues after the last answer.',
  };
}

function identityOf(source: string): unknown {
  const stats = source === STDIN ? undefined : statSync(source, { bigint: true, throwIfNoEntry: false });
  return stats ? [source, fileIdentity(stats)] : [source];
}

/** A sink that cannot be resumed. */
function fromStart(writer: AnswerWriter, onStop: string): Sink {
  let answers = 0;
  return {
    position: { sources: 0, answers: 0 },
    get answers() {
      return answers;
    },
    write: async (answer) => {
      await writer.write(answer);
      answers++;
    },
    endSource: () => Promise.resolve(),
    finish: () => writer.finish(),
    stop: () => writer.abort(),
    onStop,
  };
}

/** Prints a line per answer; as JSON one list. */
function printer({ terminal, json, sources }: RecordsRequest): AnswerWriter {
  let isFirst = true;
  return {
    write: async (answer) => {
      const plain = Object.fromEntries(Object.entries(answer).filter(([, value]) => !(value instanceof Uint8Array)));
      if (json) terminal.print(`${isFirst ? '[' : ','}${JSON.stringify(withLists(plain))}`);
      else {
        const { file, ...rest } = plain;
        const before = sources.length > 1 && typeof file === 'string' ? [file] : [];
        terminal.print(printable([...before, ...shown(rest)].join('  ')));
      }
      isFirst = false;
    },
    finish: async () => {
      if (json) terminal.print(isFirst ? '[]' : ']');
    },
    abort: async () => undefined,
  };
}
