"""The addresses of every page: one block per menu entry."""

from django.urls import path
from django.views.generic import RedirectView

from accounts.policy import signed_in
from integrations.web import (
    connections,
    global_variables,
    health,
    previews,
    process_columns,
    process_lines,
    process_options,
    process_source,
    process_target,
    process_tasks,
    process_variables,
    processes,
    run_panel,
    run_summary,
    runs,
    translation_tables,
)

urlpatterns = [
    path("", signed_in(RedirectView.as_view(pattern_name="runs")), name="home"),
    # Run
    path("run/", run_panel.choose, name="run-panel"),
    path("run/<uuid:public_id>/", run_panel.panel, name="run-panel-process"),
    path("run/<uuid:public_id>/start/", run_panel.start, name="run-start"),
    path("run/progress/<int:number>/", run_panel.progress, name="run-progress"),
    path("runs/", runs.runs, name="runs"),
    path("runs/<int:number>/summary/", run_summary.summary, name="run-summary"),
    path("runs/<int:number>/details/", run_summary.details, name="run-details"),
    path("runs/<int:number>/errors/", run_summary.errors, name="run-errors"),
    path("runs/<int:number>/errors/export/", run_summary.export_errors, name="run-errors-export"),
    path("runs/<int:number>/source-file/", run_summary.source_file, name="run-source-file"),
    path("runs/<int:number>/source-file/download/", run_summary.download, name="run-source-download"),
    path("runs/<int:number>/outputs/<int:line>/", run_summary.download_output, name="run-output-download"),
    path("runs/<int:number>/cancel/", run_summary.cancel, name="run-cancel"),
    path("runs/<int:number>/re-run/", run_summary.run_again, name="run-rerun"),
    # Processes
    path("processes/", processes.processes, name="processes"),
    path("processes/new/", processes.new, name="process-new"),
    path("processes/<uuid:public_id>/", processes.details, name="process"),
    path("processes/<uuid:public_id>/details/save/", processes.save_details, name="process-details-save"),
    path("processes/<uuid:public_id>/options/", process_options.options, name="process-options"),
    path("processes/<uuid:public_id>/options/save/", process_options.save_options, name="process-options-save"),
    path("processes/<uuid:public_id>/runners/save/", process_options.save_runners, name="process-runners-save"),
    path("processes/<uuid:public_id>/versions/", processes.versions, name="process-versions"),
    path(
        "processes/<uuid:public_id>/versions/<int:number>/restore/",
        processes.restore_version,
        name="process-version-restore",
    ),
    path("processes/<uuid:public_id>/save/", processes.save, name="process-save"),
    path("processes/<uuid:public_id>/discard/", processes.discard, name="process-discard"),
    path("processes/<uuid:public_id>/copy/", processes.copy, name="process-copy"),
    path("processes/<uuid:public_id>/trash/", processes.trash, name="process-trash"),
    path("processes/<uuid:public_id>/restore/", processes.restore, name="process-restore"),
    path("processes/<uuid:public_id>/preview/", previews.preview, name="process-preview"),
    path("processes/<uuid:public_id>/source/", process_source.source, name="process-source"),
    path("processes/<uuid:public_id>/source/save/", process_source.save_source, name="process-source-save"),
    path("processes/<uuid:public_id>/source/sample/", process_source.upload_sample, name="process-sample"),
    path("processes/<uuid:public_id>/source/columns/", process_source.read_columns, name="process-read-columns"),
    path("processes/<uuid:public_id>/target/", process_target.target, name="process-target"),
    path("processes/<uuid:public_id>/target/save/", process_target.save_target, name="process-target-save"),
    path("processes/<uuid:public_id>/integration/", process_lines.integration, name="process-integration"),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/grouping/", process_lines.grouping, name="process-grouping"
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/grouping/save/",
        process_lines.save_grouping,
        name="process-grouping-save",
    ),
    path("processes/<uuid:public_id>/integration/<int:number>/mapping/", process_lines.mapping, name="process-mapping"),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/mapping/save/",
        process_lines.save_mapping,
        name="process-mapping-save",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/mapping/sample/",
        process_lines.mapping_sample,
        name="process-mapping-sample",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/restriction/",
        process_lines.restriction,
        name="process-restriction",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/restriction/save/",
        process_lines.save_restriction,
        name="process-restriction-save",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/restriction/test/",
        process_lines.test_restriction,
        name="process-restriction-test",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/additional/",
        process_columns.additional,
        name="process-additional",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/additional/save/",
        process_columns.save_additional,
        name="process-additional-save",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/additional/sample/",
        process_columns.sample_additional,
        name="process-additional-sample",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/<slug:part>/<int:place>/lookup/",
        process_columns.lookup,
        name="process-lookup",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/<slug:part>/<int:place>/lookup/save/",
        process_columns.save_lookup,
        name="process-lookup-save",
    ),
    path(
        "processes/<uuid:public_id>/integration/<int:number>/<slug:part>/<int:place>/lookup/look/",
        process_columns.look_around,
        name="process-lookup-look",
    ),
    path("processes/<uuid:public_id>/tasks/", process_tasks.tasks, name="process-tasks"),
    path("processes/<uuid:public_id>/tasks/arrange/", process_tasks.arrange, name="process-tasks-arrange"),
    path("processes/<uuid:public_id>/tasks/new/", process_tasks.new, name="process-task-new"),
    path("processes/<uuid:public_id>/tasks/new/save/", process_tasks.add, name="process-task-add"),
    path("processes/<uuid:public_id>/tasks/test/", process_tasks.test, name="process-task-test"),
    path("processes/<uuid:public_id>/tasks/<int:number>/", process_tasks.task, name="process-task"),
    path("processes/<uuid:public_id>/tasks/<int:number>/save/", process_tasks.save_task, name="process-task-save"),
    path("processes/<uuid:public_id>/variables/", process_variables.variables, name="process-variables"),
    path("processes/<uuid:public_id>/variables/save/", process_variables.save_variables, name="process-variables-save"),
    # Connections
    path("connections/", connections.connections, name="connections"),
    path("connections/new/<slug:connector>/", connections.new, name="connection-new"),
    path("connections/<uuid:public_id>/", connections.connection, name="connection"),
    path("connections/<uuid:public_id>/save/", connections.save, name="connection-save"),
    path("connections/<uuid:public_id>/test/", connections.test, name="connection-test"),
    path("connections/<uuid:public_id>/offers/<slug:key>/", connections.offer, name="connection-offer"),
    path("connections/<uuid:public_id>/delete/", connections.delete, name="connection-delete"),
    # Global Variables
    path("global-variables/", global_variables.global_variables, name="global-variables"),
    path("global-variables/new/", global_variables.new, name="global-variable-new"),
    path("global-variables/<uuid:public_id>/", global_variables.global_variable, name="global-variable"),
    path("global-variables/<uuid:public_id>/save/", global_variables.save, name="global-variable-save"),
    path("global-variables/<uuid:public_id>/delete/", global_variables.delete, name="global-variable-delete"),
    # Translation Tables
    path("translation-tables/", translation_tables.translation_tables, name="translation-tables"),
    path("translation-tables/new/", translation_tables.new, name="translation-table-new"),
    path("translation-tables/<uuid:public_id>/", translation_tables.translation_table, name="translation-table"),
    path("translation-tables/<uuid:public_id>/save/", translation_tables.save, name="translation-table-save"),
    path("translation-tables/<uuid:public_id>/delete/", translation_tables.delete, name="translation-table-delete"),
    path("translation-tables/<uuid:public_id>/export/", translation_tables.export, name="translation-table-export"),
    path(
        "translation-tables/<uuid:public_id>/import/", translation_tables.read_workbook, name="translation-table-read"
    ),
    path(
        "translation-tables/<uuid:public_id>/import/take/",
        translation_tables.take_workbook,
        name="translation-table-take",
    ),
    # The installation
    path("health/", health.health, name="health"),
    path("metrics/", health.metrics, name="metrics"),
]
