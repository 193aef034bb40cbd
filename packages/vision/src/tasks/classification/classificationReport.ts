/** @file What the report shows of a classifier: the worst mistakes, each class, and how far probabilities can be trusted. */

import type { PreparedTask, ReportPicture, ReportRequest, ReportSection } from '@onnx-lora/sdk';
import type { ImageDecoder } from '../../image/image.ts';
import { shrunk, webp } from '../../report/thumbnail.ts';
import { calibrationError, type LabelledScores, reliability } from './calibration.ts';
import { heldOut } from './heldOut.ts';
import type { ImageDataset, ImageExample } from './imageDataset.ts';
import { bestClasses, logSumExp, scoresOf } from './scores.ts';

/** Longer edge of a picture, and how many there are. */
const EDGE = 160;
const MISTAKES = 12;

/** What the sections are made from. */
export interface ClassificationReport {
  readonly labels: readonly string[];
  readonly validation: ImageDataset<number>;
  readonly scores: LabelledScores;
  readonly decoder: ImageDecoder;
  /** The fitted temperature, where calibration was asked for. */
  readonly temperature?: number | undefined;
}

/** Scores of all held-out images. */
export async function heldOutScores(
  task: Pick<PreparedTask<ImageExample<number>>, 'collate'>,
  validation: ImageDataset<number>,
  request: ReportRequest,
  { output, labels }: { readonly output: string; readonly labels: readonly string[] },
): Promise<LabelledScores> {
  const data = new Float32Array(validation.length * labels.length);
  let at = 0;
  for await (const { outputs } of heldOut(task, validation, request)) {
    const { data: rows } = scoresOf(outputs, output, labels.length);
    data.set(rows, at);
    at += rows.length;
  }
  return { rows: validation.length, classes: labels.length, data, truths: validation.targets };
}

/** The sections. Images that cannot be read any more are left out. */
export async function classificationReport(report: ClassificationReport): Promise<readonly ReportSection[]> {
  const answers = answersOf(report);
  const mistakes = answers.filter(({ truth, answer }) => truth !== answer);
  const worst = mistakes.sort((a, b) => b.confidence - a.confidence).slice(0, MISTAKES);
  const pictures = (await Promise.all(worst.map((each) => picture(each, report)))).filter((each) => each !== undefined);
  return [
    ...(pictures.length > 0
      ? [
          {
            kind: 'gallery',
            title: 'Worst mistakes',
            text: `${mistakes.length} of ${answers.length} held-out images are answered wrongly; these the most confidently.`,
            pictures,
          } as const,
        ]
      : []),
    {
      kind: 'table',
      title: 'Classes',
      columns: ['class', 'images', 'precision', 'recall', 'F1'],
      rows: perClass(report.labels, answers),
    },
    ...(report.temperature === undefined ? [] : [calibration(report.scores, report.temperature)]),
  ];
}

/** The share of images whose best score is that of their label. */
export function accuracyOf({ rows, classes, data, truths }: LabelledScores): number {
  let right = 0;
  for (let i = 0; i < rows; i++) {
    const row = data.subarray(i * classes, (i + 1) * classes);
    if (bestClasses(row, 1)[0] === truths[i]) right++;
  }
  return right / rows;
}

interface Answer {
  readonly index: number;
  readonly truth: number;
  readonly answer: number;
  /** Probability of the answer. */
  readonly confidence: number;
}

function answersOf({ scores: { rows, classes, data, truths }, temperature = 1 }: ClassificationReport): Answer[] {
  return Array.from({ length: rows }, (_, index) => {
    const row = data.subarray(index * classes, (index + 1) * classes).map((score) => score / temperature);
    const answer = row.reduce((best, score, c) => (score > row[best]! ? c : best), 0);
    return { index, truth: truths[index]!, answer, confidence: Math.exp(row[answer]! - logSumExp(row)) };
  });
}

async function picture(
  { index, truth, answer, confidence }: Answer,
  { validation, decoder, labels }: ClassificationReport,
): Promise<ReportPicture | undefined> {
  const file = validation.nameOf(index);
  try {
    const image = await webp(shrunk(await decoder.decode(file), EDGE));
    const caption = `${labels[truth]} taken for ${labels[answer]} (${(100 * confidence).toFixed(0)}%)`;
    return { image, alt: `${file}: ${caption}`, caption };
  } catch {
    return undefined;
  }
}

/** A row per class that occurs among the truths or the answers. */
function perClass(labels: readonly string[], answers: readonly Answer[]): (string | number)[][] {
  return labels.flatMap((label, c) => {
    const right = answers.filter(({ truth, answer }) => truth === c && answer === c).length;
    const images = answers.filter(({ truth }) => truth === c).length;
    const named = answers.filter(({ answer }) => answer === c).length;
    if (images + named === 0) return [];
    const share = (count: number, of: number): number => (of === 0 ? 0 : Number((count / of).toFixed(4)));
    return [[label, images, share(right, named), share(right, images), share(2 * right, images + named)]];
  });
}

function calibration(scores: LabelledScores, temperature: number): ReportSection {
  const [before, after] = [reliability(scores), reliability(scores, temperature)];
  const points = (bins: typeof before): (readonly [number, number])[] =>
    bins.map(({ confidence, accuracy }) => [confidence, accuracy]);
  return {
    kind: 'lines',
    title: 'Calibration',
    text: `How often answers of a confidence are right. Scores are divided by the temperature ${temperature.toFixed(3)}; the expected calibration error falls from ${(100 * calibrationError(before)).toFixed(1)}% to ${(100 * calibrationError(after)).toFixed(1)}%, on the images that the temperature was fitted on.`,
    x: 'confidence',
    y: 'accuracy',
    series: [
      { name: 'perfect', points: [[0, 0], [1, 1]] }, // prettier-ignore
      { name: 'before', points: points(before) },
      { name: 'after', points: points(after) },
    ],
  };
}
