/** @file What a task shows of its answers, as a page of its own. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';
import { page } from './page.ts';
import { formatSections } from './sections.ts';

/** The page. Everything that comes from outside is escaped. */
export function sectionsPage(title: string, sections: readonly ReportSection[]): string {
  return page(title, `<div class="parts">\n${formatSections(sections)}\n</div>`);
}
