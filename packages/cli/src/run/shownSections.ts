/** @file Sections of a run's report from its task and from plugins. */

import { type AdapterSession, OnnxLoraError, type TrainingRun } from '@onnx-lora/sdk';
import { withoutUndefined } from '@onnx-lora/sdk/data';
import { type PreparedTask, type ReportSection, rowsPerRun } from '@onnx-lora/sdk/tasks';
import type { Measured } from './history.ts';
import { machineOptions } from '../settings/training.ts';
import { formatSections } from '../report/sections.ts';
import type { Work } from './following.ts';
import { measureAfter, type Ended } from './measuring.ts';

/** Measures the adapter and collects sections. @throws OnnxLoraError of a failure, saying where the adapter is */
export async function measureAndReport(
  work: Work,
  { stopped, ...ended }: Ended,
): Promise<{ readonly after: Measured | undefined; readonly sections: readonly ReportSection[] }> {
  const { result, prepared, before } = ended;
  try {
    const { adapter, steps } = result;
    const after = before && !stopped ? await measureAfter(work, ended) : undefined;
    if (steps === 0 || stopped) return { after, sections: [] };
    const found = [
      ...(await taskSections(prepared, adapter, work)),
      ...(await pluginSections(adapter, { before, after }, work)),
    ];
    return { after, sections: found.filter((section) => canBeShown(section, work)) };
  } catch (error) {
    if (!(error instanceof OnnxLoraError) || result.steps === 0) throw error;
    throw new OnnxLoraError(error.code, `${error.message} The adapter is in "${work.folder.adapter}".`, {
      cause: error,
    });
  }
}

/** Leaves out a malformed section with a warning. */
function canBeShown(section: ReportSection, { progress }: Work): boolean {
  try {
    formatSections([section]);
    return true;
  } catch (error) {
    progress.note(`warning: the report lacks the section "${section?.title}": ${messageOf(error)}`);
    return false;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Sections of the task. A failure only leaves them out. */
async function taskSections(
  prepared: PreparedTask,
  adapter: TrainingRun['adapter'],
  { model, settings, progress }: Work,
): Promise<readonly ReportSection[]> {
  if (!prepared.report) return [];
  progress.note('measuring what the report shows');
  let session: AdapterSession | undefined;
  try {
    const opened = await model
      .withInputSizes(prepared.inputSizes ?? {})
      .withOutputs(prepared.outputs ?? [])
      .session({ adapters: { adapted: adapter }, ...machineOptions(settings) });
    session = opened;
    return [
      ...(await prepared.report({
        run: (inputs, which) => opened.run(inputs, { adapter: which === 'base' ? null : 'adapted' }),
        batchSize: rowsPerRun(opened, settings.batchSize),
        model,
        adapter,
        options: machineOptions(settings),
      })),
    ];
  } catch (error) {
    progress.note(`warning: the report lacks the task's sections:  ${messageOf(error)}`);
    return [];
  } finally {
    await session?.release();
  }
}

/** Sections of plugins. A failure only leaves them out. */
async function pluginSections(
  adapter: TrainingRun['adapter'],
  { before, after }: Readonly<Record<'before' | 'after', Measured | undefined>>,
  { model, task, progress, history, registry }: Work,
): Promise<readonly ReportSection[]> {
  const sections: ReportSection[] = [];
  for (const factory of registry.sections) {
    try {
      const found = await factory.sections({
        task: task.name,
        model,
        adapter,
        losses: history.loss.stretches.map(({ step, mean }) => [step, mean] as const),
        ...withoutUndefined({ before: before?.metrics, after: after?.metrics }),
      });
      sections.push(...found);
    } catch (error) {
      // Any error: a plugin's bug must not lose the report.
      progress.note(`warning: the report lacks "${factory.name}": ${messageOf(error)}`);
    }
  }
  return sections;
}
