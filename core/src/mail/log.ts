/** What the services need of a logger (pino has it): details, then a fixed sentence. Never message content, search terms or secrets. */
export interface MailLog {
  info(details: Readonly<Record<string, unknown>>, message: string): void;
  warn(details: Readonly<Record<string, unknown>>, message: string): void;
  error(details: Readonly<Record<string, unknown>>, message: string): void;
}
