"""Words of dates and of durations, in the languages that tables are written in."""

_EACH_MONTH = (
    "january januar janvier enero gennaio janeiro januari ocak jan ene gen",
    "february februar février febrero febbraio fevereiro februari şubat feb fév fev",
    "march märz mars marzo março maart marts mart mar mär mrz mrt",
    "april avril abril aprile nisan apr avr abr",
    "may mai mayo maggio maio mei maj mayıs mag",  # noqa: RUF001
    "june juni juin junio giugno junho haziran jun giu",
    "july juli juillet julio luglio julho temmuz jul lug juil",
    "august août agosto augustus augusti ağustos aug aoû aou ago",
    "september septembre septiembre settembre setembro eylül sep sept set",
    "october oktober octobre octubre ottobre outubro ekim oct okt ott out",
    "november novembre noviembre novembro kasım nov",  # noqa: RUF001
    "december dezember décembre diciembre dicembre dezembro desember aralık dec dez déc dic des",  # noqa: RUF001
)
_SLAVIC = (
    "stycznia styczeń sty января январь янв",
    "lutego luty lut февраля февраль фев",
    "marca marzec марта март мар",
    "kwietnia kwiecień kwi апреля апрель апр",
    "maja мая май",
    "czerwca czerwiec cze июня июнь июн",
    "lipca lipiec lip июля июль июл",
    "sierpnia sierpień sie августа август авг",
    "września wrzesień wrz сентября сентябрь сен",
    "października październik paź октября октябрь окт",
    "listopada listopad lis ноября ноябрь ноя",
    "grudnia grudzień gru декабря декабрь дек",
)
MONTHS = {
    name: number
    for number, names in enumerate(zip(_EACH_MONTH, _SLAVIC, strict=True), start=1)
    for name in " ".join(names).split()
}

ZONES = {
    name: hours
    for hours, names in (
        (0.0, "UTC GMT Z WET"),
        (1.0, "CET MEZ BST WEST"),
        (2.0, "CEST MESZ EET"),
        (3.0, "EEST MSK"),
        (5.5, "IST"),
        (9.0, "JST KST"),
        (10.0, "AEST"),
        (11.0, "AEDT"),
        (-4.0, "EDT"),
        (-5.0, "EST CDT"),
        (-6.0, "CST MDT"),
        (-7.0, "MST PDT"),
        (-8.0, "PST"),
    )
    for name in names.split()
}
"""Hours that a zone is before Greenwich; where a name is of several, the most usual one."""

_DAY = 86400.0
SPANS = {
    name: seconds
    for seconds, names in (
        (1.0, "s sec secs second seconds sekunde sekunden segundo segundos seconde secondes"),
        (60.0, "m min mins minute minutes minuten minuto minutos"),
        (3600.0, "h hr hrs hour hours std stunde stunden hora horas heure heures"),
        (_DAY, "d day days tag tage tagen día días jour jours"),
        (7 * _DAY, "w wk wks week weeks woche wochen semana semanas semaine semaines"),
        (365.25 / 12 * _DAY, "mo mos mon mth mths month months monat monate mes meses mois"),
        (365.25 * _DAY, "y yr yrs year years jahr jahre año años an ans"),
    )
    for name in names.split()
}
"""Seconds of what durations are written in; months and years are those of the calendar's mean."""
