/* commands.h: the commands of the weir program. Each gets its own argc/argv (argv[0] is its name), prints its own help on
 * --help, and returns the exit code (design.md, section 6). */
#ifndef WR_MAIN_COMMANDS_H
#define WR_MAIN_COMMANDS_H

int wr_command_run(int argc, char **argv);
int wr_command_preview(int argc, char **argv);
int wr_command_check(int argc, char **argv);
int wr_command_explain(int argc, char **argv);
int wr_command_plan(int argc, char **argv);
int wr_command_dlq(int argc, char **argv);
int wr_command_state(int argc, char **argv);
int wr_command_table(int argc, char **argv);
int wr_command_connectors(int argc, char **argv);
int wr_command_version(int argc, char **argv);

/* Says what is wrong with the word that getopt_long has just refused: option is what it returned, '?' or ':'. */
void wr_command_bad_option(int option, char **argv);

#endif
