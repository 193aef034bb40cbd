/** @file What a report shows of preferences: rewards before and after, and answers. */

import type { MeasureRequest, ReportRequest, ReportSection } from '@onnx-lora/sdk/tasks';
import type { ConversationRecord } from '../../data/conversationRecord.ts';
import { type AnswerRules, answerSection } from '../chat/answerSection.ts';
import { shownScores } from '../chat/chatReport.ts';
import type { PreferenceMetrics } from './preferenceMetrics.ts';

/** What is reported on. */
export interface PreferenceReport {
  readonly measure: (request: MeasureRequest) => Promise<PreferenceMetrics>;
  /** Held-out prompts, each with the answer that is shown beside. */
  readonly records: readonly ConversationRecord[];
  readonly rules: AnswerRules;
}

/** What columns are called where a metric's name says too little. */
const titles: Readonly<Record<string, string>> = {
  margin: 'margin of rewards',
  chosen: 'reward of chosen',
  rejected: 'reward of rejected',
};

/** The metrics before and after with their intervals, and some answers. */
export async function preferenceReport(
  { measure, records, rules }: PreferenceReport,
  { model, adapter, options, batchSize }: ReportRequest,
): Promise<readonly ReportSection[]> {
  const base = await measure({ model, options, batchSize });
  const adapted = await measure({ model, adapter, options, batchSize });
  const columns = Object.keys(adapted.result());
  return [
    {
      kind: 'table',
      title: 'Held-out preferences',
      text: 'A reward says how much likelier an answer is than by the reference, times beta. In brackets, what holds the value with a probability of 95%, as far as these preferences tell.',
      columns: ['', ...columns.map((name) => titles[name] ?? name)],
      rows: [
        ['model before', ...shownScores(base, columns)],
        ['with the adapter', ...shownScores(adapted, columns)],
      ],
    },
    ...(await answerSection(records, rules, { model, adapter, options })),
  ];
}
