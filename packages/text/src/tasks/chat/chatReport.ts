/** @file What a report shows of a model that was taught to answer: how likely it finds the held-out answers, and what it answers itself. */

import {
  intervalsOf,
  type MeasureRequest,
  type MetricCollector,
  type ReportRequest,
  type ReportSection,
} from '@onnx-lora/sdk/tasks';
import type { ConversationRecord } from '../../data/conversationRecord.ts';
import { type AnswerRules, answerSection } from './answerSection.ts';
import type { ChatMetrics } from './chatMetrics.ts';

/** What is reported on. */
export interface ChatReport {
  readonly measure: (request: MeasureRequest) => Promise<ChatMetrics>;
  /** The held-out conversations. */
  readonly records: readonly ConversationRecord[];
  readonly rules: AnswerRules;
}

/** The metrics before and after with their intervals, and some answers. */
export async function chatReport(
  { measure, records, rules }: ChatReport,
  { model, adapter, options, batchSize }: ReportRequest,
): Promise<readonly ReportSection[]> {
  const base = await measure({ model, options, batchSize });
  const adapted = await measure({ model, adapter, options, batchSize });
  const columns: readonly string[] = ['loss', 'perplexity', 'bytePerplexity', 'accuracy'];
  return [
    {
      kind: 'table',
      title: 'Held-out answers',
      text: 'How likely the model finds answers that it was not taught. A perplexity says among how many tokens, or bytes, all as likely, it chooses: the fewer, the better. In brackets, what holds the value with a probability of 95%, as far as these conversations tell.',
      columns: ['', 'loss', 'perplexity', 'perplexity of bytes', 'accuracy'],
      rows: [
        ['model before', ...shownScores(base, columns)],
        ['with the adapter', ...shownScores(adapted, columns)],
      ],
    },
    ...(await answerSection(records, rules, { model, adapter, options })),
  ];
}

/** Metrics as cells, each with the interval where there is one. */
export function shownScores(found: Pick<MetricCollector, 'result' | 'draws'>, columns: readonly string[]): string[] {
  const [scores, intervals] = [found.result(), intervalsOf(found.draws?.() ?? {})];
  return columns.map((name) => {
    const [low, high] = intervals[name] ?? [];
    const range = low === undefined || high === undefined ? '' : ` (${low.toFixed(3)} – ${high.toFixed(3)})`;
    return `${scores[name]!.toFixed(3)}${range}`;
  });
}
